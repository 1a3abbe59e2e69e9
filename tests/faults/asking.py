"""A client that believes nothing: it knows what each model must say, and how a failure must look.

``tests.faults.provider`` answers with a function of its model and the prompt. Every call comes to a ``Came``, whose
``wrong`` is what no caller should get: another's answer, half an answer that looks whole, a failure without a type, a
provider's own words, or nothing for too long.
"""

import asyncio
import time
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tests.faults.dialects import DIALECTS, Dialect, Name, Said, Wrong
from tests.faults.http_kinds import SECRET
from tests.faults.load import Client, Dead
from tests.faults.provider import NUMBER, behaviour, said

End = Literal["answered", "failed", "left", "dead"]

FORBIDDEN = (SECRET.encode(), b"words of the provider", b"<html", b"127.0.0.1")
"""What comes from behind the gateway."""

CODES = frozenset(
    {"unavailable", "throttled", "timed_out", "garbled", "deadline", "overloaded", "provider_unauthorized"}
    | {"cancelled", "rejected", "constraint_violated", "cut_off", "not_found_at_provider", "content_filter"}
    | {"unrecorded", "rate_limit_exceeded", "insufficient_quota", "no_answer"}
    | {"resting", "shutting_down", "not_cached"}
)
"""Why a leg or a call may fail."""

STATUSES = frozenset({402, 422, 429, 502, 503, 504})
"""What a failed call may be answered with: 500 is a bug."""

CALLER = frozenset({400, 401, 403, 404, 413})
"""... and these only where a test asks for it."""

SHARED = frozenset({"hit", "coalesced"})
"""What ``x-gateway-cache`` says of a model that nobody was asked for."""

Models = dict[str, tuple[str, ...]]
"""Ours, each with the provider's models that may answer for it."""


class Call(Struct, frozen=True):
    """``more`` are further fields. ``leaves`` is how many seconds after it has asked the client goes, ``leaves_at`` at
    which event of a stream; ``pause`` is how long it takes over each event. ``headers`` go with the request."""

    dialect: Name
    models: tuple[str, ...]
    prompt: str
    user: str
    stream: bool = False
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    leaves: float | None = None
    leaves_at: int | None = None
    pause: float = 0.0

    def body(self) -> dict[str, Any]:
        asked = DIALECTS[self.dialect].asked(self.models, self.prompt)
        if self.dialect != "lamini":
            asked["user"] = self.user
        return asked | ({"stream": True} if self.stream else {}) | self.more


class Came(Struct):
    """What a call came to. ``codes`` are those of the failures in it; ``cache`` is ``x-gateway-cache``."""

    call: Call
    end: End
    status: int = 0
    codes: tuple[str, ...] = ()
    took: float = 0.0
    wrong: str = ""
    cache: str = ""


class Asker:
    """``bound`` is how many seconds a call may take, ``dies`` that the gateway may be killed meanwhile."""

    def __init__(self, models: Models, bound: float, dies: bool = False, statuses: frozenset[int] = STATUSES) -> None:
        self._models = models
        self._bound = bound
        self._dies = dies
        self._statuses = statuses

    async def ask(self, client: Client, call: Call) -> Came:
        began = time.monotonic()
        came = Came(call, "dead")
        try:
            async with asyncio.timeout(self._bound):
                await (self._streamed if call.stream else self._whole)(client, call, came)
        except TimeoutError:
            came.wrong = f"no end within {self._bound:g} s"
        except (Dead, asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            came.end = "dead"
            if not self._dies:
                came.wrong = f"cut off: {type(error).__name__}: {error}"
        except Wrong as wrong:
            came.wrong = str(wrong)
        except (KeyError, IndexError, TypeError, msgspec.MsgspecError) as error:
            came.wrong = f"an answer of another form: {type(error).__name__}: {error}"
        came.took = time.monotonic() - began
        return came

    async def _whole(self, client: Client, call: Call, came: Came) -> None:
        dialect = DIALECTS[call.dialect]
        asking = asyncio.ensure_future(client.call(call.body(), dialect.path, call.headers))
        if call.leaves is not None and not (await asyncio.wait([asking], timeout=call.leaves))[0]:
            asking.cancel()
            await asyncio.wait([asking])
            came.end = "left"
            return
        try:
            answer = await asking
        finally:
            asking.cancel()
        came.status, came.cache = answer.status, answer.headers.get("x-gateway-cache", "")
        clean(answer.body)
        if "json" not in answer.headers.get("content-type", ""):
            raise Wrong(f"no JSON: {answer.status} {answer.headers} {answer.body[:100]!r}")
        if answer.status != 200:
            self._refused(dialect, answer.status, answer.json, came)
            return
        told = answer.json
        found = dialect.choices(told, call.models)
        self._check(call, found, came)
        cost = answer.headers.get("x-gateway-cost-usd", "0")
        if SHARED.issuperset(came.cache.split(",")) and not came.codes and float(cost):
            raise Wrong(f"an answer that nobody was asked for costs ${cost}: {came.cache}")
        self._usage(call, found, told, came)

    async def _streamed(self, client: Client, call: Call, came: Came) -> None:
        dialect = DIALECTS[call.dialect]
        asking = client.stream(call.body(), dialect.path, call.headers)
        if call.leaves is not None:
            try:
                async with asyncio.timeout(call.leaves), asking as stream:
                    await self._read(dialect, call, stream, came)
            except TimeoutError:
                came.end = "left"
            return
        async with asking as stream:
            await self._read(dialect, call, stream, came)

    async def _read(self, dialect: Dialect, call: Call, stream: Any, came: Came) -> None:
        came.status, came.cache = stream.status, stream.headers.get("x-gateway-cache", "")
        if stream.status != 200:
            data = await stream.rest()
            clean(data)
            self._refused(dialect, stream.status, msgspec.json.decode(data), came)
            return
        found = [Said(model) for model in call.models]
        events = 0
        over = failed = False
        async for event in stream.events():
            if over:
                raise Wrong(f"something follows [DONE]: {event!r}")
            events += 1
            if call.leaves_at is not None and events > call.leaves_at:
                came.end = "left"
                return
            if call.pause:
                await asyncio.sleep(call.pause)
            clean(event)
            if event == b"[DONE]":
                over = True
            elif not event.startswith(b":"):
                failed |= take(dialect, msgspec.json.decode(event), found, came)
        if not over:
            raise Wrong("a stream that ends without [DONE]")
        if failed:
            came.end = "failed"
            self._begun(call, found)
        else:
            self._check(call, found, came)

    def _refused(self, dialect: Dialect, status: int, told: Any, came: Came) -> None:
        came.end, code = "failed", dialect.failure(status, told)
        came.codes = (code,)
        if status not in self._statuses | dialect.statuses:
            raise Wrong(f"status {status}: {told}")
        if not (code in CODES or code == str(status) or CODES.issuperset(code.split("/"))):
            raise Wrong(f"code {code!r}: {told}")

    def _check(self, call: Call, found: list[Said], came: Came) -> None:
        """Of each model what it says or why it does not."""
        came.end = "answered"
        came.codes = tuple([said.code for said in found if said.code])
        if [one.model for one in found] != list(call.models):
            raise Wrong(f"asked {call.models}, answered {found}")
        if unknown := set(came.codes) - CODES:
            raise Wrong(f"codes {unknown}")
        self._begun(call, [one for one in found if one.code])
        for one in found:
            if one.code:
                continue
            if not one.done:
                raise Wrong(f"neither whole nor failed: {one}")
            if not self._right(one, call.prompt):
                raise Wrong(f"{one.model} says {one.text!r} to {call.prompt!r}")
        if all(one.code for one in found):
            raise Wrong(f"an answer in which all have failed: {found}")

    def _right(self, one: Said, prompt: str) -> bool:
        return any(expected(model, prompt) == shape(model, one.text) for model in self._models[one.model])

    def _begun(self, call: Call, found: list[Said]) -> None:
        """Of models that failed: nothing, or the beginning of what they were to say."""
        for one in found:
            if one.done:
                raise Wrong(f"failed, and ended as if it had not: {one}")
            models = self._models[one.model]
            if one.text and not any(str(expected(model, call.prompt)).startswith(one.text) for model in models):
                raise Wrong(f"{one.model} begins with {one.text!r} to {call.prompt!r}")

    def _usage(self, call: Call, found: list[Said], told: Any, came: Came) -> None:
        """The tokens that the provider reports for those who answered; where it is known which model that was."""
        if call.dialect in ("lamini", "typed") or not SHARED.isdisjoint(came.cache.split(",")):
            return
        asked = [self._models[one.model] for one in found if not one.code]
        if any(len(models) > 1 for models in asked):
            return
        does = [behaviour(model) for [model] in asked]
        if any(one.q or one.w for one in does):
            return
        wanted = (sum(one.p for one in does), sum(one.o for one in does))
        if (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) != wanted:
            raise Wrong(f"usage is {told['usage']}, was {wanted}")


def take(dialect: Dialect, told: Any, found: list[Said], came: Came) -> bool:
    """One event of a stream. True: the whole call has failed."""
    if "error" in told:
        came.codes += (dialect.failure(told.get("code", 0), told),)
        return True
    for choice in told["choices"]:
        one = found[choice["index"]]
        if one.done or one.code:
            raise Wrong(f"a choice that had ended goes on: {told}")
        one.text += dialect.piece(choice)
        if choice.get("model", one.model) != one.model:
            raise Wrong(f"a choice of another model: {told}")
        if "error" in choice:
            one.code = choice["error"]["code"]
        elif choice["finish_reason"] is not None:
            one.done = choice["finish_reason"] == "stop"
            if not one.done:
                raise Wrong(f"an end that nobody asked for: {choice}")
    return False


def clean(data: bytes) -> None:
    for words in FORBIDDEN:
        if words in data:
            raise Wrong(f"what is behind the gateway is told: {data[:300]!r}")


def expected(model: str, prompt: str) -> Any:
    """What the provider's model says to a prompt."""
    does = behaviour(model)
    if does.j:
        number = NUMBER.search(prompt)
        return {"age": int(number[1]) if number else 0}
    return "".join([said(model, prompt, place) for place in range(does.o)])


def shape(model: str, text: str) -> Any:
    return msgspec.json.decode(text) if behaviour(model).j else text
