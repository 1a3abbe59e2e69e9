"""An upstream that plays: no sockets, the answers of a script, told by the model's name in the request."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from adapters.openai import OpenAI
from adapters.types import Call, Host, HttpRequest, HttpResponse, Params
from gateway.types import Clock, Leg, Plan, Target
from gateway.upstream.types import Feed, Reach, Timeouts

CLOCK = Clock(lambda: 1_700_000_000.0, lambda: 50.0)
PARAMS = Params()

Play = Callable[[HttpRequest, Feed | None], Awaitable[HttpResponse]]


class Playing:
    """``plays`` says what each model does; ``asked`` is the order in which they were, ``cancelled`` who was cut off."""

    def __init__(self, **plays: Play) -> None:
        self.plays = plays
        self.asked: list[str] = []
        self.cancelled: list[str] = []

    async def fetch(self, request: HttpRequest, timeouts: Timeouts, reach: Reach | None = None) -> HttpResponse:
        return await self._play(request, None, reach)

    async def stream(
        self, request: HttpRequest, timeouts: Timeouts, feed: Feed, reach: Reach | None = None
    ) -> HttpResponse:
        return await self._play(request, feed, reach)

    async def forget(self, url: str) -> None:
        pass

    async def close(self) -> None:
        pass

    async def _play(self, request: HttpRequest, feed: Feed | None, reach: Reach | None) -> HttpResponse:
        if reach is not None:
            reach()
        model = msgspec.json.decode(request.body)["model"]
        self.asked.append(model)
        try:
            return await self.plays[model](request, feed)
        except asyncio.CancelledError:
            self.cancelled.append(model)
            raise


def says(*chunks: str, pause: float = 0.0, usage: tuple[int, int] | None = (5, 3), n: int = 1) -> Play:
    """Answers with this text, whole or in these pieces."""

    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        if feed is None:
            await asyncio.sleep(pause)
            return HttpResponse(200, [], msgspec.json.encode(reply("".join(chunks), usage, n)))
        for chunk in chunks:
            await asyncio.sleep(pause)
            feed(b"".join([event({"choices": [{"index": i, "delta": {"content": chunk}}]}) for i in range(n)]))
        feed(b"".join([event({"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]}) for i in range(n)]))
        if usage:
            feed(event({"choices": [], "usage": figures(usage)}))
        feed(b"data: [DONE]\n\n")
        return HttpResponse(200, [])

    return play


def fails(status: int, headers: list[tuple[bytes, bytes]] | None = None, pause: float = 0.0) -> Play:
    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        await asyncio.sleep(pause)
        return HttpResponse(status, headers or [], b'{"error": {"message": "secret"}}')

    return play


def breaks_after(chunk: str) -> Play:
    """Streams a piece and ends without a word."""

    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        assert feed is not None
        feed(event({"choices": [{"index": 0, "delta": {"content": chunk}}]}))
        await asyncio.sleep(0)
        return HttpResponse(200, [])

    return play


def hangs() -> Play:
    return says("never", pause=60)


def reply(text: str, usage: tuple[int, int] | None, n: int) -> dict[str, Any]:
    choices = [{"index": i, "message": {"content": text}, "finish_reason": "stop"} for i in range(n)]
    return {"choices": choices, "usage": figures(usage)}


def figures(usage: tuple[int, int] | None) -> dict[str, int] | None:
    return usage and {"prompt_tokens": usage[0], "completion_tokens": usage[1]}


def event(value: object) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def target(upstream: Playing, model: str, **more: Any) -> Target:
    host = Host(base_url="http://provider.test/v1", max_n=more.pop("max_n", None))
    return Target(f"p/{model}", model, "chat", OpenAI(host), upstream, Timeouts(), **more)


def plan(upstream: Playing, *models: str | tuple[str, ...], n: int = 1, max_n: int | None = None) -> Plan:
    """A leg for each model; a tuple names a leg's targets in turn."""
    legs = []
    for i, names in enumerate(models):
        targets = tuple(target(upstream, name, max_n=max_n) for name in ((names,) if isinstance(names, str) else names))
        legs.append(leg(targets, n, i * n))
    return tuple(legs)


def leg(targets: tuple[Target, ...], n: int, offset: int) -> Leg:
    from gateway.asking import requests

    call = Call(targets[0].model, "hi", Params(n=n))
    return Leg(targets[0].model, call, targets, offset, requests(targets[0], call))


def streaming(plan: Plan) -> Plan:
    """The same legs, for an answer in pieces."""
    from gateway.asking import requests

    calls = [msgspec.structs.replace(one.call, stream=True) for one in plan]
    return tuple(
        Leg(one.model, call, one.targets, one.offset, requests(one.targets[0], call))
        for one, call in zip(plan, calls, strict=True)
    )
