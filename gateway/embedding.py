"""What an embedding route does: as ``completion`` does it, for one model and in one piece.

A model's targets are asked in turn, by the class of each failure as in the fan-out, until one answers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from adapters.embeddings.form import in_form, length
from adapters.embeddings.types import Embed, Embedder, Vectors
from adapters.errors import ProviderError, Rejected
from adapters.types import Asked, Call, Fields, HttpRequest, Params, Prompts, Reply, Usage, summed
from gateway.admission import Admission, Admitted
from gateway.attempts import at_once, following, tell
from gateway.errors import BadRequest, GatewayError, LegFailure, Unanswered
from gateway.exchange import Exchange, patience
from gateway.explain import ASKED
from gateway.fanout import Deadline
from gateway.headers import lines_of
from gateway.keys import Keys
from gateway.merge import verdict
from gateway.resilience.course import Course
from gateway.routing import Router
from gateway.tokens import tokens
from gateway.turns import in_turns
from gateway.types import PLAIN, Clock, Leg, LegResult, Meter, Policy, Target
from gateway.wire.dialect import Door
from gateway.wire.embeddings import EmbeddingDialect, EmbeddingRequest

log = logging.getLogger("gateway.embedding")

READ_ONLY = Params(max_tokens=0)

BREATH = 64
"""Vectors whose form is changed before others have a turn; each takes some tens of microseconds."""

replace = msgspec.structs.replace


class Part(Struct, frozen=True):
    """What one request asks for."""

    call: Embed
    request: HttpRequest


class Asking(Struct, frozen=True):
    """A target, and what it is asked."""

    target: Target
    embedder: Embedder
    parts: tuple[Part, ...]


class Embedding:
    """``router`` is asked for at each request, since a reload replaces it."""

    def __init__(
        self,
        router: Callable[[], Router],
        keys: Keys,
        admission: Admission,
        clock: Clock,
        *,
        max_body: int,
        max_depth: int,
    ) -> None:
        self._router = router
        self._keys = keys
        self._admission = admission
        self._clock = clock
        self.max_body = max_body
        self.max_depth = max_depth

    def speaking(self, wire: EmbeddingDialect) -> Callable[[Exchange, Door], Awaitable[None]]:
        """What serves a route of this dialect."""

        async def serve(exchange: Exchange, door: Door) -> None:
            await self.complete(exchange, door, wire)

        return serve

    async def complete(self, exchange: Exchange, door: Door, wire: EmbeddingDialect) -> None:
        """Answers the exchange. Raises GatewayError only while nothing has been sent."""
        key = exchange.authorization
        caller = self._keys.caller(key, exchange.last) or await self._keys.verified(key)
        exchange.team = caller.team
        body = await exchange.read(self.max_body)
        exchange.dialect, fields = door.enter(body, self.max_depth, exchange.lamini)
        request = wire.decode(fields)
        router = self._router()  # it is held until the call has ended, and with it what the plan leads to
        name, targets = router.candidates(request.model, caller)
        first, rest = first_expressible(request, targets)
        exchange.cancel_when_left()
        leg = leg_of(request, name, first, rest, router.policy(name))
        seconds = None if exchange.timeout is None else patience(exchange.timeout)
        admitted = self._admission.admit(caller, request.user, (leg,), exchange.id)
        if not isinstance(admitted, Admitted):
            admitted = await admitted
        result = LegResult(leg, self._clock.steady(), meter=admitted.meters[0])
        if seconds is not None:
            result.until = result.started + seconds
        try:
            async with asyncio.timeout(seconds):
                vectors, target, attempts = await embedded(request, first, result, self._clock)
        except TimeoutError:
            late = unanswered(request, Deadline(f"no answer within the call's deadline of {seconds:g} s"), 0)
            late.headers += lines_of(admitted.told())
            raise late from None
        except GatewayError as error:
            error.headers += lines_of(admitted.told())
            raise
        finally:
            admitted.meters[0].end(result)
        headers = ASKED % (target.name.encode(), attempts)
        sent = exchange.answer(200, headers + admitted.told(), wire.encode(request, vectors))
        if sent is not None:
            await sent


def leg_of(
    request: EmbeddingRequest, name: str, first: Asking, rest: tuple[Target, ...], policy: Policy = PLAIN
) -> Leg:
    """The call as far as it is counted: what is read, in how many requests, and nothing that is written."""
    asked = tuple([Asked(reading(part.call), part.request) for part in first.parts])
    return Leg(request.model, reading(request.call), (first.target, *rest), 0, asked, None, name, policy)


def reading(call: Embed) -> Call:
    return Call(call.model, Prompts(call.items), READ_ONLY)


def first_expressible(request: EmbeddingRequest, targets: tuple[Target, ...]) -> tuple[Asking, tuple[Target, ...]]:
    """The first target whose wire has words for the call, and those after it. Raises BadRequest if none has."""
    refusal: Rejected | None = None
    for i, target in enumerate(targets):
        try:
            return asking(target, request.call), targets[i + 1 :]
        except Rejected as exc:
            refusal = refusal or exc
    assert refusal is not None
    raise BadRequest(f"model '{request.model}': {refusal.message}", param=refusal.param) from refusal


def asking(target: Target, call: Embed) -> Asking:
    """What a target is asked: one request, or several. Raises Rejected when its wire cannot express the call."""
    embedder = target.embedder
    if embedder is None:
        raise Rejected("its provider gives no embeddings", param="model")
    calls = parts(replace(call, model=target.model), embedder.most)
    return Asking(target, embedder, tuple([Part(part, embedder.encode(part)) for part in calls]))


def expressible(target: Target, call: Embed) -> Asking | None:
    """What a target is asked; None if its wire has no words for it."""
    try:
        return asking(target, call)
    except Rejected:
        return None


def parts(call: Embed, most: int | None) -> list[Embed]:
    """The call in calls of at most ``most`` items."""
    if most is None or len(call.items) <= most:
        return [call]
    starts = range(0, len(call.items), most)
    return [replace(call, items=call.items[start : start + most], written=None) for start in starts]


async def embedded(
    request: EmbeddingRequest, first: Asking, result: LegResult, clock: Clock
) -> tuple[Vectors, Target, int]:
    """The answer, who gave it, and how many were asked; ``result`` learns what came of it. Raises Unanswered."""
    leg, attempts = result.leg, 0
    course = Course(leg.targets, leg.policy.retrying, result.until)
    failure: ProviderError | None = None
    before: Target | None = None
    while (target := await following(course, clock)) is not None:
        asked = first if target is first.target else expressible(target, request.call)
        if asked is None:
            continue  # this target has no words for the call; why the others failed is what counts
        if before is not None and failure is not None:
            tell(leg, before, target, failure)
        attempts += 1
        found = await judged(asked, result, clock, target is before)
        if isinstance(found, Vectors):
            result.outcome = Reply((), found.usage)
            return found, target, attempts
        log.warning("%s: %s (%s)", target.name, found.message, found.code)
        result.outcome = failure = found
        before = target
        if not course.failed(target, found, clock.steady()):
            break
    raise unanswered(request, failure or course.passed_over(clock.steady()), attempts)


def unanswered(request: EmbeddingRequest, failure: ProviderError, attempts: int) -> Unanswered:
    leg = LegFailure(0, request.model, failure.code, failure.message)
    return verdict(f"{request.model}: {failure.message}", [failure], (leg,), attempts > 1, failure.param)


async def judged(asked: Asking, result: LegResult, clock: Clock, again: bool) -> Vectors | ProviderError:
    """One try of a target, of which its standing learns how it ended."""
    standing, began = asked.target.standing, clock.steady()
    if standing is None:
        return await outcome(asked, result, began)
    ticket = standing.begin(began, again)
    try:
        found = await outcome(asked, result, began)
    except BaseException:
        standing.left(ticket)
        raise
    now = clock.steady()
    standing.end(ticket, now, found if isinstance(found, ProviderError) else None, now - began)
    return found


async def outcome(asked: Asking, result: LegResult, began: float) -> Vectors | ProviderError:
    try:
        return await attempt(asked, result, began)
    except ProviderError as failure:
        return failure


async def attempt(asked: Asking, result: LegResult, began: float) -> Vectors:
    """One target's whole answer, from one request or several. Raises a ProviderError."""
    assert result.meter is not None
    result.meter.begin(asked.target, began)
    if len(asked.parts) == 1:
        return await one(asked, asked.parts[0], result.meter)
    found: dict[int, Vectors] = {}
    meter = result.meter

    async def work(i: int) -> None:
        found[i] = await one(asked, asked.parts[i], meter)

    await in_turns(len(asked.parts), at_once(asked.target), work)
    return joined([found[i] for i in range(len(asked.parts))])


async def one(asked: Asking, part: Part, meter: Meter) -> Vectors:
    """One HTTP exchange, in its turn where the provider's are bounded."""
    target = asked.target
    if target.gate is None:
        return await exchanged(asked, part, meter)
    async with target.gate:
        return await exchanged(asked, part, meter)


async def exchanged(asked: Asking, part: Part, meter: Meter) -> Vectors:
    target = asked.target
    sending = meter.sending(reading(part.call))
    try:
        response = await target.upstream.fetch(part.request, target.timeouts, sending.reach)
        vectors = asked.embedder.decode(part.call, response)
    except ProviderError as failure:
        sending.failure = failure
        raise
    usage = sending.usage = vectors.usage or estimate(part.call)
    check_dimensions(part.call, vectors.rows[0])
    rows = await formed(vectors.rows, part.call.base64)
    return Vectors(rows, usage, vectors.raw)


def check_dimensions(call: Embed, row: Fields) -> None:
    """A server that passes over ``dimensions`` would answer with vectors that do not compare with the caller's others.
    vLLM's ``embed_dtype`` makes them of numbers of another width."""
    if call.dimensions is None or "embed_dtype" in call.fields:
        return
    found = length(row["embedding"])
    if found != call.dimensions:
        raise Rejected(f"dimensions: this model's vectors have {found} numbers here", param="dimensions")


async def formed(rows: tuple[Fields, ...], as_base64: bool) -> tuple[Fields, ...]:
    """The rows with each vector in the form that was asked for."""
    told: list[Fields] = []
    for i, row in enumerate(rows):
        vector = in_form(row["embedding"], as_base64)
        told.append(row if vector is row["embedding"] else {**row, "embedding": vector})
        if told[-1] is not row and i % BREATH == BREATH - 1:
            await asyncio.sleep(0)
    return tuple(told)


def joined(answers: list[Vectors]) -> Vectors:
    usage = summed([answer.usage for answer in answers if answer.usage is not None])
    return Vectors(tuple([row for answer in answers for row in answer.rows]), usage, answers[0].raw)


def estimate(call: Embed) -> Usage:
    """Usage as it may have been; token ids are their own count."""
    sizes = [tokens(len(item.encode())) if isinstance(item, str) else len(item) for item in call.items]
    return Usage(sum(sizes), 0, estimated=True)
