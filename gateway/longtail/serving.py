"""The child's ASGI application: a request becomes one call of litellm, its answer the answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any

import msgspec

from adapters.longtail import BASE, KEY, PROVIDER
from gateway.longtail import failures
from gateway.longtail.asked import Asked, read

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Say = Callable[[str], None]

CALLS: dict[str, str] = {
    "/chat/completions": "acompletion",
    "/completions": "atext_completion",
    "/embeddings": "aembedding",
}
"""litellm's function for each route."""

PATIENCE = 86_400.0
"""Seconds that litellm may wait. How long a provider may take is the gateway's to say: it closes the connection."""

FIXED: dict[str, Any] = {
    "timeout": PATIENCE,
    # The gateway counts its attempts and spends from a budget of retries; hidden ones would multiply an outage.
    "num_retries": 0,
    "max_retries": 0,
    # A parameter that a provider lacks is an error, never dropped.
    "drop_params": False,
    # Tools that name an MCP server are the provider's to call: litellm would connect to some by itself.
    "_skip_mcp_handler": True,
}
"""What every call is made with."""

LISTS = frozenset({"choices", "data"})
"""Keys of an answer that may be empty."""

encode = msgspec.json.Encoder(enc_hook=str).encode


class Gone(Exception):
    """The caller has closed the connection."""


class Serving:
    """``litellm`` is the module. ``say`` is told, in one line, of failures that only the operator can do something
    about."""

    def __init__(self, litellm: Any, say: Say) -> None:
        self._litellm = litellm
        self._say = say
        self._providers = frozenset(str(getattr(one, "value", one)) for one in litellm.provider_list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "POST" or scope["path"] not in CALLS:
            await answer(send, 404, failures.rendered(failures.Failure(404, "not_found", "there is no such route")))
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            body = await whole(receive)
            await unless_gone(self._serve(scope["path"], headers(scope), body, watched), receive)
        except Gone:
            return
        except Exception as error:  # litellm raises whatever its providers' modules raise
            failure = failures.failure(error)
            if failure is failures.OTHER:
                self._say(f"{scope['path']}: litellm failed with {type(error).__name__}")
            if begun:
                await send({"type": "http.response.body", "body": failures.within(failure)})
                return
            more = () if failure.retry_after is None else ((b"retry-after", failure.retry_after.encode()),)
            await answer(send, failure.status, failures.rendered(failure), more)

    async def _serve(self, path: str, given: Mapping[str, str], body: bytes, send: Send) -> None:
        provider = given.get(PROVIDER, "")
        if provider not in self._providers:
            unknown = failures.Failure(404, "model_not_found", "litellm does not know this provider")
            await answer(send, unknown.status, failures.rendered(unknown))
            return
        asked = read(path, body, provider, self._supported)
        arguments = asked.arguments | FIXED | {"custom_llm_provider": provider}
        if KEY in given:
            arguments["api_key"] = given[KEY]
        if BASE in given:
            arguments["api_base"] = given[BASE]
        call = getattr(self._litellm, CALLS[path])
        if asked.stream and path != "/embeddings":
            # Asked of litellm, not of the provider: most report usage anyway, and litellm would keep it to itself.
            pieces = await call(**arguments, stream=True, stream_options={"include_usage": True})
            await stream(pieces, asked, send)
        else:
            reply = await call(**arguments)
            await answer(send, 200, encode(plain(reply)))

    def _supported(self, model: str, provider: str) -> list[str] | None:
        found: list[str] | None = self._litellm.get_supported_openai_params(model=model, custom_llm_provider=provider)
        return found


async def stream(pieces: AsyncIterator[Any], asked: Asked, send: Send) -> None:
    """Sends the pieces as events. The head waits for the first one: until then a failure still has its status."""
    begun = False
    async for piece in pieces:
        said = plain(piece)
        if "usage" in said:  # in the last piece, which says nothing else
            if not asked.usage:
                continue
            said["choices"] = []
        if not begun:
            begun = True
            await begin(send, 200, b"text/event-stream")
        await send({"type": "http.response.body", "body": b"data: " + encode(said) + b"\n\n", "more_body": True})
    if not begun:
        await begin(send, 200, b"text/event-stream")
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def plain(reply: Any) -> dict[str, Any]:
    """litellm's answer in OpenAI's form: with the keys that are always there, and without what nobody has said."""
    said: dict[str, Any] = reply.model_dump(exclude_none=True)
    for choice in said.get("choices", ()):
        choice.setdefault("finish_reason", None)
        if "message" in choice:
            choice["message"].setdefault("content", None)
        elif "delta" not in choice:
            choice.setdefault("text", "")
    usage = said.get("usage")
    if isinstance(usage, dict):
        usage.pop("cost", None)  # litellm's own reckoning, from prices that may be old
        if not usage.get("prompt_tokens") and not usage.get("completion_tokens"):
            del said["usage"]  # every call has tokens: these are the zeros of a counter that is switched off
    return {name: value for name, value in said.items() if name in LISTS or value not in ([], {})}


def headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def whole(receive: Receive) -> bytes:
    """The request's body. The gateway has bounded it already. Raises ``Gone``."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def unless_gone(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Does the work, but gives it up when the caller leaves: that closes the connection to the provider. Raises
    ``Gone``, or what the work raises."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(departure(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
            with contextlib.suppress(BaseException):
                await task


async def departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def begin(send: Send, status: int, kind: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *more]})


async def answer(send: Send, status: int, body: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    await begin(send, status, b"application/json", (*more, (b"content-length", b"%d" % len(body))))
    await send({"type": "http.response.body", "body": body})
