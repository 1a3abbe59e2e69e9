"""What Lamini's clients call beside ``/v1/completions``: completions that they come back for, and reservations.

Starlette views, since a client that polls once a second does not count microseconds. Three protocols, one kind of job:
``/v3/streaming_completions`` and ``/v1/batch_completions`` give an id, under which ``{id}/result`` tells what there is;
``/v1/streaming_completions`` (clients 2.1 to 2.5) is asked again and again, with the id in ``server``.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import msgspec
from msgspec import Raw, Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.types import Delta, Prompts
from gateway.admin import answer, authorization, rendered
from gateway.api import check_head, error_headers, new_id
from gateway.attempts import Emit
from gateway.completion import Completion
from gateway.doorkeeper import Doorkeeper
from gateway.errors import GatewayError, Internal, OverLimit, Unanswered
from gateway.exchange import too_large
from gateway.jobs import Jobs, Tell
from gateway.keys import Keys
from gateway.store.jobs import Failure, Job, Output
from gateway.types import Caller, Clock, CompletionRequest, CompletionResponse, LegResult
from gateway.wire import lamini
from gateway.wire.body import Body, convert, read

log = logging.getLogger("gateway.lamini")

STREAM = "stream"
BATCH = "batch"

RESERVED = timedelta(hours=1)

PATIENCE = 600.0
"""Seconds that a job's prompt waits for its caller's limits, at most."""

LOST = Failure(503, b'{"detail":"the gateway was restarted while this job ran; send it again"}')

View = Callable[[Request], Awaitable[Response]]

to_json = msgspec.json.Encoder().encode


class Reservation(Struct):
    """What a client wants kept free for it."""

    capacity: int = 1
    batch_size: int = 1


decode_reservation = msgspec.json.Decoder(Reservation).decode
EXPECTED_OF_IT = {"capacity": "a whole number", "batch_size": "a whole number"}


class Polling:
    """The views."""

    def __init__(
        self,
        completion: Completion,
        keys: Keys,
        jobs: Jobs,
        clock: Clock,
        doorkeeper: Doorkeeper,
        *,
        max_body: int,
        max_depth: int,
    ) -> None:
        self._completion = completion
        self._doorkeeper = doorkeeper
        self._keys = keys
        self._jobs = jobs
        self._clock = clock
        self.max_body = max_body
        self.max_depth = max_depth

    def routes(self, models: View) -> list[Route]:
        """``models`` is OpenAI's list of models: Lamini's client asks OpenAI's routes under ``/inf``."""
        return [
            Route("/inf/models", models, methods=["GET"]),
            Route("/v3/streaming_completions", told(self.stream), methods=["POST"]),
            Route("/v3/streaming_completions/{id}/result", told(self.stream_result), methods=["GET"]),
            Route("/v1/batch_completions", told(self.batch), methods=["POST"]),
            Route("/v1/batch_completions/{id}/result", told(self.batch_result), methods=["GET"]),
            Route("/v1/streaming_completions", told(self.old_stream), methods=["POST"]),
            Route("/v1/reservation", told(self.reservation), methods=["POST"]),
        ]

    async def stream(self, request: Request) -> Response:
        """Takes a job whose answers can be watched as they grow."""
        return answer({"id": await self._submit(await self._caller(request), await self._body(request), STREAM)})

    async def batch(self, request: Request) -> Response:
        """Takes a job whose answers are told one by one."""
        return answer({"id": await self._submit(await self._caller(request), await self._body(request), BATCH)})

    async def stream_result(self, request: Request) -> Response:
        return await self._result(request, STREAM)

    async def batch_result(self, request: Request) -> Response:
        return await self._result(request, BATCH)

    async def old_stream(self, request: Request) -> Response:
        """One call for both: without ``server`` a job is taken, with it there is what has come of it."""
        caller, body = await self._caller(request), await self._body(request)
        server = msgspec.json.decode(body.fields.get("server", Raw(b"null")))
        id = await self._submit(caller, body, STREAM) if server is None else str(server)
        job = await self._jobs.find(caller, STREAM, id)
        if job.failure is not None:
            return rendered(job.failure.body, job.failure.status)
        outputs, finishes = shown(job)
        return answer({"server": id, "status": [finish is not None for finish in finishes], "data": outputs})

    async def reservation(self, request: Request) -> Response:
        """Grants what is wanted: nothing is set aside, since a provider's limits are kept call by call. Clients of 2.0
        to 3.2 count down from ``capacity_remaining`` and then ask again. Times are UTC without saying so."""
        await self._caller(request)
        body = await self._body(request)
        wanted: Reservation = convert(decode_reservation, body.data, body.fields, EXPECTED_OF_IT)
        now = datetime.fromtimestamp(int(self._clock.wall()), UTC).replace(tzinfo=None)
        return answer(
            {
                "reservation_id": secrets.token_hex(16),
                "capacity_remaining": max(1, wanted.capacity, wanted.batch_size),
                "dynamic_max_batch_size": max(1, wanted.batch_size),
                "start_time": now.isoformat(),
                "end_time": (now + RESERVED).isoformat(),
            }
        )

    async def _caller(self, request: Request) -> Caller:
        return await self._keys.asking(authorization(request))

    async def _body(self, request: Request) -> Body:
        given = request.headers.get("content-type")
        check_head("POST", given.encode("latin-1") if given else None)
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self.max_body:
                raise too_large(self.max_body)
            parts.append(part)
        return read(b"".join(parts), self.max_depth)

    async def _submit(self, caller: Caller, body: Body, kind: str) -> str:
        if (refusal := self._doorkeeper.refusal()) is not None:
            raise refusal
        asked = lamini.decode(body)
        texts = texts_of(asked)
        # What can never be answered is refused now, and not found out by polling.
        self._completion.router.plan(one_of(asked, texts[0], False), caller)
        work = Answering(self._completion, caller, asked, texts, kind == STREAM and asked.note.types is None)
        return await self._jobs.submit(caller, kind, [len(text.encode()) for text in texts], work, pending_of(asked))

    async def _result(self, request: Request, kind: str) -> Response:
        job = await self._jobs.find(await self._caller(request), kind, request.path_params["id"])
        if job.failure is not None:
            return rendered(job.failure.body, job.failure.status)
        if not job.started:
            return answer({})
        outputs, finishes = shown(job)
        return answer({"outputs": outputs, "finish_reason": finishes})


class Answering:
    """The work of a job: the answer to each of its prompts by itself. ``streamed`` answers can be watched."""

    def __init__(
        self, completion: Completion, caller: Caller, asked: CompletionRequest, texts: tuple[str, ...], streamed: bool
    ) -> None:
        self._completion = completion
        self._caller = caller
        self._asked = asked
        self._texts = texts
        self._streamed = streamed

    async def __call__(self, place: int, tell: Tell) -> Output:
        request = one_of(self._asked, self._texts[place], self._streamed)
        said: list[str] = []

        def so_far() -> bytes:
            return encoded("".join(said))

        def hear(result: LegResult, deltas: list[Delta], shift: int) -> None:
            said.extend([delta.text for delta in deltas])
            tell(so_far)

        types = self._asked.note.types
        try:
            response = await self._admitted(request, hear if self._streamed else None)
        except Unanswered as error:
            if error.status == 504 and types is None:
                return Output(so_far(), "timeout")
            raise
        [part] = response.parts
        text = "".join(said) if self._streamed else part.text
        finish = "length" if part.finish == "length" else "stop"
        return Output(to_json(lamini.output(text, part.finish, types)), finish)

    async def _admitted(self, request: CompletionRequest, emit: Emit | None) -> CompletionResponse:
        """The answer, once there is room for it under the caller's limits: nobody waits at the other end."""
        waited = 0.0
        while True:
            try:
                return await self._completion.answer(request, self._caller, new_id(secrets.randbits(128)), emit)
            except OverLimit as error:
                if error.retry_after is None or waited > PATIENCE:
                    raise
                waited += error.retry_after
                await asyncio.sleep(error.retry_after)


def texts_of(asked: CompletionRequest) -> tuple[str, ...]:
    """The prompts, which in this dialect are texts."""
    items = asked.input.items if isinstance(asked.input, Prompts) else (asked.input,)
    return tuple([item for item in items if isinstance(item, str)])


def one_of(asked: CompletionRequest, text: str, stream: bool) -> CompletionRequest:
    """The request for one of its prompts."""
    return msgspec.structs.replace(asked, input=text, stream=stream)


def encoded(text: str) -> bytes:
    return to_json(lamini.output(text, None, None))


def pending_of(asked: CompletionRequest) -> bytes:
    """What stands in the place of an answer of which nothing is there yet."""
    return encoded("") if asked.note.types is None else b"{}"


def shown(job: Job) -> tuple[list[Raw], list[str | None]]:
    """The outputs in the order of their prompts, and why each ended. An answer that is complete before those in front
    of it is not called so yet: clients count those that are, and read as many from the front."""
    outputs = [job.outputs.get(place) or Output(job.pending) for place in range(job.prompts)]
    complete = list(takewhile(lambda output: output.finish is not None, outputs))
    finishes = [output.finish for output in complete] + [None] * (len(outputs) - len(complete))
    return [Raw(output.data) for output in outputs], finishes


def told(view: View) -> View:
    """The view, with its errors in Lamini's form."""

    async def answering(request: Request) -> Response:
        try:
            return await view(request)
        except GatewayError as error:
            return refusal(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("%s failed by a bug", request.scope["path"])
            return refusal(Internal("an internal error; the gateway's log has it"))

    return answering


def refusal(error: GatewayError) -> Response:
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return rendered(lamini.encode_error(error), lamini.status(error), headers)


def failure_of(error: GatewayError) -> Failure:
    """How a job is answered that has failed by this."""
    return Failure(lamini.status(error), lamini.encode_error(error))
