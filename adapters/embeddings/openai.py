"""The OpenAI wire's embeddings, and what its speakers have in common.
https://platform.openai.com/docs/api-reference/embeddings

What the caller wrote is sent as it is, and what the host answered is kept as it is.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from adapters.complaints import param_of
from adapters.embeddings.form import is_vector
from adapters.embeddings.types import Embed, Vectors
from adapters.errors import UNREADABLE, Garbled, Rejected, inexpressible, read
from adapters.fields import HINTS, NULL
from adapters.longtail import KEY
from adapters.openai import decode_fields, headers, kind_of, reported, url
from adapters.types import Endpoint, Fields, Host, HttpRequest, HttpResponse, Usage, count

T = TypeVar("T")

READ_HERE = frozenset({"data", "error", "model", "object", "usage"})
"""Fields of an answer that have a place of their own."""

SHOWN = 40

encode_request = msgspec.json.Encoder().encode
decode_rows = msgspec.json.Decoder(tuple[Fields, ...]).decode


class Tokens(Struct):
    prompt_tokens: float | None = None
    total_tokens: float | None = None


class Answer(Struct):
    usage: Tokens | None = None
    error: Raw = NULL


decode_answer = msgspec.json.Decoder(Answer).decode
decode_index = msgspec.json.Decoder(int).decode


def decode_twice(body: bytes) -> tuple[Answer, Fields]:
    """What is read, and all there is."""
    return decode_answer(body), decode_fields(body)


class OpenAIEmbedder:
    """The embedder. Relatives override ``body`` for what they say differently."""

    most: int | None = None
    route = "/embeddings"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._headers = headers(host)
        self._endpoints: dict[str, Endpoint] = {}

    def encode(self, call: Embed) -> HttpRequest:
        endpoint = self._endpoints.get(call.model)
        if endpoint is None:
            endpoint = Endpoint(url(self._host, self.route, call.model), self._headers)
            self._endpoints[call.model] = endpoint
        return HttpRequest(endpoint, encode_request(self.body(call)))

    def body(self, call: Embed) -> dict[str, Any]:
        """The request in the host's words, to be sent as JSON."""
        return {"model": call.model, "input": call.items if call.written is None else call.written, **call.fields}

    def decode(self, call: Embed, response: HttpResponse) -> Vectors:
        try:
            answer, top = read(response, decode_twice, kind_of)
        except Rejected as refusal:
            raise named(refusal, call, response) from refusal.__cause__
        if answer.error != NULL:
            raise reported(answer.error)
        usage = usage_of(answer.usage, top["usage"]) if answer.usage else None
        more = {name: value for name, value in top.items() if name not in READ_HERE}
        return Vectors(in_order(top.get("data", NULL), len(call.items)), usage, more)


class LongTailEmbedder(OpenAIEmbedder):
    """Providers that are reached through litellm, with their key in a header of its own; see ``adapters.longtail``."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        lines = [("content-type", "application/json"), *host.headers.items()]
        if host.key is not None:
            lines.append((KEY, host.key))
        self._headers = tuple(lines)


def usage_of(tokens: Tokens, raw: Raw) -> Usage | None:
    """Some hosts tell the one figure only, some the other."""
    read = count(tokens.prompt_tokens if tokens.prompt_tokens is not None else tokens.total_tokens)
    return None if read is None else Usage(read, 0, raw=raw if tokens.total_tokens is not None else None)


def in_order(data: Raw, wanted: int) -> tuple[Fields, ...]:
    """The rows by their indexes, or as they came where they have none: just those that were asked for."""
    try:
        rows = decode_rows(data)
        places = [decode_index(row["index"]) for row in rows if "index" in row]
    except UNREADABLE as exc:
        raise Garbled("the provider's answer is not what its interface promises", status=200) from exc
    if places:
        if sorted(places) != list(range(wanted)):
            raise miscounted(wanted)
        rows = tuple([row for _, row in sorted(zip(places, rows, strict=False), key=lambda pair: pair[0])])
    return checked(rows, wanted)


def checked(rows: tuple[Fields, ...], wanted: int) -> tuple[Fields, ...]:
    if len(rows) != wanted:
        raise miscounted(wanted)
    if not all(is_vector(row.get("embedding", NULL)) for row in rows):
        raise Garbled("the provider's answer holds something else than vectors", status=200)
    return rows


def vectors(found: tuple[Raw, ...], wanted: int) -> tuple[Fields, ...]:
    """Rows in OpenAI's form, of a wire that has bare vectors."""
    return checked(tuple([{"embedding": vector} for vector in found]), wanted)


def miscounted(wanted: int) -> Garbled:
    return Garbled(f"the provider answered with other vectors than the {wanted} it was asked for", status=200)


def named(refusal: Rejected, call: Embed, response: HttpResponse) -> Rejected:
    """The refusal with the name of the parameter that the provider complains of, if it is one that was sent."""
    param = param_of(response)
    if param not in {*call.fields, "input"}:
        return refusal
    return type(refusal)(f"{refusal.message}: {param}", status=refusal.status, param=param)


def refuse_rest(call: Embed, handled: frozenset[str], who: str) -> None:
    """Raises ``Rejected`` for the first field that the wire has no word for, unless it is a hint or null."""
    for name, value in call.fields.items():
        if name not in handled and name not in HINTS and value != NULL:
            raise inexpressible(name[:SHOWN], f"{who} has no {name[:SHOWN]} for embeddings: leave it out")


def texts(call: Embed, who: str) -> list[str]:
    """The items, of a wire that takes texts only."""
    found = [item for item in call.items if isinstance(item, str)]
    if len(found) != len(call.items):
        raise inexpressible("input", f"{who} takes texts, not token ids")
    return found
