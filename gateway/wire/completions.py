"""The completions dialect: ``POST /v1/completions``, as OpenAI's, vLLM's and MonsterAPI's clients speak it.

Prompts are texts or token ids, one or several; choices count prompt by prompt. Fields that the gateway does not read go
to a provider of this wire as they are. https://platform.openai.com/docs/api-reference/completions, and vLLM's request:
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#completions-api
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from adapters.fields import is_neutral
from adapters.types import Delta, Fields, Input, Params, Prompts
from gateway.errors import BadRequest
from gateway.keeping import Free
from gateway.types import CompletionRequest, CompletionResponse, Part, Plan
from gateway.wire import body as wire
from gateway.wire.logprobs import content_of, legacy
from gateway.wire.openai import (
    EXPECTED,
    NULL,
    Common,
    Note,
    check_stream,
    encode_error,
    envelope,
    finish_name,
    params_of,
    provenance,
    request_of,
    small,
    status,
    to_json,
    usual,
)
from gateway.wire.pieces import Piecewise, placed
from gateway.wire.values import Whole

MAX_PROMPTS = 1024
CHAT_ONLY = ("tools", "tool_choice", "functions", "function_call")

EXPECTED_HERE = {
    **EXPECTED,
    "prompt": "a text, a list of texts, a list of token ids, or a list of such lists, and not empty",
    "max_tokens": "a whole number from 0 to 2147483647",
    "best_of": "a whole number from 1 to 128, and at least n",
    "echo": "true or false",
    "logprobs": "a whole number of at least 0 (or -1 for all)",
    "suffix": "a text",
    "use_beam_search": "true or false",
    "length_penalty": "a number",
    "early_stopping": 'true, false or "never"',
}


class Asked(Common, kw_only=True):
    max_tokens: Whole | None = None
    best_of: Annotated[int, Meta(ge=0, le=128)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    suffix: str | None = None
    use_beam_search: bool | None = None
    length_penalty: float | None = None
    early_stopping: bool | str | None = None


KNOWN = frozenset(Asked.__struct_fields__)
USUAL = usual(KNOWN)
UNHELD: frozenset[Free] = frozenset({"cut", "filtered"})

decode_asked = msgspec.json.Decoder(Asked).decode
decode_prompt = msgspec.json.Decoder(
    str | tuple[str | Annotated[int, Meta(ge=0)] | tuple[Annotated[int, Meta(ge=0)], ...], ...]
).decode

read = wire.read
__all__ = ["chunks", "decode", "encode", "encode_error", "read", "status"]


def decode(body: wire.Body) -> CompletionRequest:
    found = body.fields
    prompt = found.get("prompt", NULL)
    if prompt == NULL:
        hint = "; messages are for /v1/chat/completions" if "messages" in found else ""
        raise BadRequest(f"prompt is missing{hint}", param="prompt")
    for name in CHAT_ONLY:
        if not is_neutral(name, found.get(name, NULL)):
            raise BadRequest(f"{name}: is for /v1/chat/completions; a text has no tools", param=name)
    asked: Asked = wire.convert(decode_asked, small(found, KNOWN), found, EXPECTED_HERE)
    check(asked)
    return request_of(
        asked, found, prompts_of(prompt), params(asked, found), "prompt", USUAL, UNHELD, asked.logprobs is not None
    )


def params(asked: Asked, fields: Fields) -> Params:
    found = params_of(asked, fields, asked.max_tokens, asked.logprobs)
    if not (asked.best_of or asked.echo or asked.suffix):
        return found
    best_of, echo, suffix = asked.best_of or None, asked.echo or False, asked.suffix or None
    return msgspec.structs.replace(found, best_of=best_of, echo=echo, suffix=suffix)


def check(asked: Asked) -> None:
    """What fields must be to each other, in the words that vLLM and OpenAI have for it."""
    check_stream(asked)
    n = asked.n or 1
    if asked.best_of and asked.best_of < n:
        raise BadRequest(
            f"best_of must be greater than or equal to n, got n={n} and best_of={asked.best_of}.", param="best_of"
        )
    if asked.best_of and asked.best_of > n and asked.stream:
        raise BadRequest(
            "best_of: the likeliest choices are known at the end only; leave out stream or best_of", param="best_of"
        )
    if asked.max_tokens == 0 and not asked.echo:
        raise BadRequest("max_tokens must be at least 1, got 0 (0 only goes with echo).", param="max_tokens")
    if asked.use_beam_search and asked.stream:
        raise BadRequest("Streaming is not currently supported with beam search", param="use_beam_search")
    if not asked.use_beam_search and asked.length_penalty not in (None, 1.0):
        raise BadRequest("length_penalty: only goes with use_beam_search", param="length_penalty")
    if not asked.use_beam_search and asked.early_stopping not in (None, False):
        raise BadRequest("early_stopping: only goes with use_beam_search", param="early_stopping")


def prompts_of(raw: Raw) -> Input:
    """One text as it is; else the prompts, each a text or token ids."""
    try:
        given = decode_prompt(raw)
    except msgspec.DecodeError:
        raise wrong_prompt() from None
    if not given:
        raise wrong_prompt()
    if isinstance(given, str):
        return given
    if isinstance(given[0], int):
        if not all(isinstance(item, int) for item in given):
            raise wrong_prompt()
        return Prompts((given,))
    if len(given) > MAX_PROMPTS:
        raise BadRequest(f"prompt: {len(given)} prompts in one call; at most {MAX_PROMPTS} are allowed", param="prompt")
    if not all(item and isinstance(item, type(given[0])) for item in given):
        raise wrong_prompt()
    return Prompts(given)


def wrong_prompt() -> BadRequest:
    return BadRequest(f"prompt: must be {EXPECTED_HERE['prompt']}", param="prompt")


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    note: Note = request.note
    asked = (request.params.logprobs or 0) != 0
    choices = [choice(part, response.legs, note, asked) for part in response.parts if part.error is None]
    return to_json(envelope(response, f"cmpl-{response.id}", "text_completion", choices))


def choice(part: Part, legs: int, note: Note, alternatives: bool) -> dict[str, Any]:
    raw = part.raw or {}
    said: dict[str, Any] = {"index": part.index, "text": part.text, "logprobs": None}
    said |= native(raw)
    said["finish_reason"] = finish_name(raw, part.finish)
    if note.logprobs:
        said["logprobs"], _ = legacy(raw.get("logprobs"), 0, alternatives)
    else:
        said["logprobs"] = None
    return said if legs == 1 and part.agreement is None else said | provenance(part)


def native(raw: Fields) -> Fields:
    """What a provider of this wire wrote of a choice; of a chat's choice only why it stopped is of use here."""
    if "message" in raw or "delta" in raw:
        return {name: raw[name] for name in ("stop_reason",) if name in raw}
    return {name: value for name, value in raw.items() if name not in ("index", "finish_reason", "logprobs")}


class TextChunks(Piecewise):
    kind = "text_completion"

    def __init__(self, alternatives: bool, *rest: Any) -> None:
        super().__init__(*rest)
        self._alternatives = alternatives
        self._offsets: dict[int, int] = {}

    def text(self, index: int, text: str) -> bytes:
        said = b'{"index":%d,"text":%b,"logprobs":null,"finish_reason":null' % (index, to_json(text))
        return said + (b',"model":%b}' % to_json(self._told[index].leg.model) if self._several else b"}")

    def closing(self, raw: Fields) -> dict[str, Any]:
        logprobs = raw.get("logprobs") if self._note.logprobs and not self._converts(raw) else None
        return {"logprobs": logprobs, **native(raw), "text": ""}

    def _converts(self, raw: Fields) -> bool:
        return content_of(raw.get("logprobs", NULL)) is not None

    def forwarded(self, index: int, delta: Delta, raw: Raw) -> bytes:
        data = bytes(raw)
        if b'"delta"' not in data and not (self._note.logprobs and b'"content"' in data):
            if self._several or delta.index != index:
                return placed(raw, index, self._told[index].leg.model if self._several else None)
            return data
        said = msgspec.json.decode(raw, type=Fields)
        logprobs = None
        if self._note.logprobs:
            begin = self._offsets.get(index, 0)
            logprobs, self._offsets[index] = legacy(said.get("logprobs"), begin, self._alternatives)
        told: dict[str, Any] = {"index": index, "text": delta.text, **native(said), "logprobs": logprobs}
        told["finish_reason"] = None
        if self._several:
            told["model"] = self._told[index].leg.model
        return to_json(told)


def chunks(request: CompletionRequest, id: str, created: int, plan: Plan) -> TextChunks:
    return TextChunks((request.params.logprobs or 0) != 0, request.note, f"cmpl-{id}", created, plan)
