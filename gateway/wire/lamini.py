"""The Lamini dialect: ``model_name`` and ``prompt`` in, bare objects out, errors as ``{"detail": ...}``.

Both generations of it: the type of the answer is declared in ``output_type`` or, until version 2.1, in ``out_type``.
There is no envelope and no stream; what cannot be told here (usage, finish reasons) stands in the answer's head. A
prompt is continued as it is, since its writer applies the model's template. Source: the published clients, PyPI
``lamini`` 2.0 to 3.4, and https://lamini-ai.github.io. Ours beyond it: ``temperature``, ``top_p`` and ``seed``.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.fields import CONSTRAINTS, NEUTRAL, is_neutral
from adapters.types import Constraint, Fields, Finish, Input, Params, Prompts
from gateway.errors import BadRequest, GatewayError, Unanswered, UnknownModel
from gateway.tokens import tokens
from gateway.types import CompletionRequest, CompletionResponse, Plan
from gateway.wire import body as wire
from gateway.wire.dialect import Chunks
from gateway.wire.output_type import Mismatch, Types, constraint_of, typed

MAX_PROMPTS = 1024
MOST = 2**31 - 1

EXPECTED = {
    "model_name": "the name of one model, as text",
    "prompt": "a text, or a list of texts",
    "output_type": 'an object such as {"age": "int", "units": "str"}',
    "out_type": 'an object such as {"age": "int", "units": "str"}',
    "max_new_tokens": "a whole number, or null",
    "max_tokens": "a whole number, or null",
    "temperature": "a number",
    "top_p": "a number",
    "seed": "a whole number of 64 bits",
}

STATUS = {502: 503, 504: 524}
"""How Lamini's clients know what failed behind us: as a model that is not there, or one that took too long."""

LOOK_LIKE_CONSTRAINTS = (*CONSTRAINTS, "response_format", "schema")
NULL = Raw(b"null")


class Malformed(BadRequest):
    """The body is not of the form that the route takes, whatever its values mean: FastAPI's 422."""

    status = 422


class RequestBody(Struct):
    """The documented fields, and ours. null is the same as absence; clients write it."""

    prompt: str | tuple[str, ...]
    model_name: str | None = None
    output_type: Types | None = None
    out_type: Types | None = None
    max_new_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


class Note(Struct, frozen=True):
    """``single``: one text was asked, not a list. ``types``: what the answer was declared to hold."""

    single: bool
    types: Types | None = None


class Problem(Struct):
    """One mistake, as FastAPI lists them."""

    loc: tuple[str, ...]
    msg: str
    type: str = "value_error"


KNOWN = frozenset(RequestBody.__struct_fields__)
decode_body = msgspec.json.Decoder(RequestBody).decode
to_json = msgspec.json.Encoder().encode

read = wire.read


def decode(body: wire.Body) -> CompletionRequest:
    """The request. Raises Malformed for what has not the form of one, else BadRequest."""
    found = body.fields
    asked = parsed(body)
    refuse_others(found)
    prompts = (asked.prompt,) if isinstance(asked.prompt, str) else asked.prompt
    check_prompts(prompts)
    declared, constraint = declared_in(asked)
    return CompletionRequest(
        models_of(asked.model_name),
        input_of(prompts),
        params_of(asked, prompts, constraint),
        constraint=constraint,
        note=Note(isinstance(asked.prompt, str), declared),
    )


def parsed(body: wire.Body) -> RequestBody:
    try:
        asked: RequestBody = wire.convert(decode_body, body.data, body.fields, EXPECTED)
    except BadRequest as error:
        raise Malformed(error.message, param=error.param) from None
    for name in ("output_type", "out_type"):
        if getattr(asked, name) is not None:
            wire.check_repeats(bytes(body.fields[name]))
    return asked


def models_of(name: str | None) -> tuple[str]:
    if not name:
        raise Malformed("model_name is missing; GET /v1/models lists the models", param="model_name")
    if "," in name:
        raise BadRequest(
            "model_name: names one model; an answer of this form has no place for those of several", param="model_name"
        )
    return (name,)


def check_prompts(prompts: tuple[str, ...]) -> None:
    if not prompts or not all(prompts):
        raise BadRequest("prompt: must be a text, or a list of texts, and none of them empty", param="prompt")
    if len(prompts) > MAX_PROMPTS:
        raise BadRequest(
            f"prompt: {len(prompts)} prompts in one call; at most {MAX_PROMPTS} are allowed", param="prompt"
        )


def input_of(prompts: tuple[str, ...]) -> Input:
    return prompts[0] if len(prompts) == 1 else Prompts(prompts)


def declared_in(asked: RequestBody) -> tuple[Types | None, Constraint | None]:
    """What the answer must hold, in either generation's name for it."""
    new, old = asked.output_type, asked.out_type
    if new is not None and old is not None and list(new.items()) != list(old.items()):
        raise Malformed("out_type: contradicts output_type; give one of them", param="out_type")
    declared, param = (new, "output_type") if new is not None else (old, "out_type")
    return declared, None if declared is None else constraint_of(declared, param)


def params_of(asked: RequestBody, prompts: tuple[str, ...], constraint: Constraint | None) -> Params:
    """An object is taken out of a prompt by the likeliest words, unless the caller says otherwise; a text is made with
    what the model's configuration says."""
    within(asked, "temperature", 0, 2)
    within(asked, "top_p", 0, 1)
    within(asked, "seed", -(2**63), 2**63 - 1)
    temperature = 0.0 if constraint is not None and asked.temperature is None else asked.temperature
    return Params(max_tokens=limit_of(asked, prompts), temperature=temperature, top_p=asked.top_p, seed=asked.seed)


def within(asked: RequestBody, name: str, least: int, most: int) -> None:
    value = getattr(asked, name)
    if value is not None and not least <= value <= most:
        raise BadRequest(f"{name}: must be from {least} to {most}, not {value}", param=name)


def limit_of(asked: RequestBody, prompts: tuple[str, ...]) -> int | None:
    """The most new tokens. ``max_tokens`` bounds prompt and answer together, of the longest prompt by an estimate."""
    within(asked, "max_new_tokens", 1, MOST)
    within(asked, "max_tokens", 1, MOST)
    if asked.max_tokens is None:
        return asked.max_new_tokens
    longest = max(tokens(len(prompt.encode())) for prompt in prompts)
    left = asked.max_tokens - longest
    if left < 1:
        raise BadRequest(
            f"max_tokens: bounds prompt and answer together, and {asked.max_tokens} leave no room for an answer to a "
            f"prompt of about {longest} tokens; use max_new_tokens to bound the answer alone",
            param="max_tokens",
        )
    return left if asked.max_new_tokens is None else min(left, asked.max_new_tokens)


def refuse_others(found: Fields) -> None:
    """Other names are passed over, as the clients of several versions need it, unless they ask for something that
    would then be missing from the answer."""
    for name, value in found.items():
        if name in KNOWN or value == NULL:
            continue
        meant = name in NEUTRAL and not is_neutral(name, value)
        if meant or name.startswith(LOOK_LIKE_CONSTRAINTS):
            instead = "; use output_type" if name.startswith(LOOK_LIKE_CONSTRAINTS) else ": leave it out"
            raise BadRequest(f"{wire.shown(name)}: this API has no such field{instead}", param=wire.shown(name))


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    """Bare outputs: one object, or a list of them. Raises GatewayError for an answer that is not of its type."""
    note: Note = request.note
    for part in response.parts:
        if part.error is not None:
            raise Unanswered(f"{part.model}: {part.error.message}", 422, (), final=True)
    outputs = [output(part.text, part.finish, note.types) for part in response.parts]
    return to_json(outputs[0] if note.single else outputs)


def output(text: str, finish: Finish | None, types: Types | None) -> dict[str, Any]:
    """One prompt's answer. Raises GatewayError if it is not of its type."""
    if types is None:
        return {"output": text}
    try:
        return typed(text, types)
    except Mismatch:
        pass
    if finish == "length":
        raise BadRequest(
            "max_new_tokens: the answer was cut off at the limit of tokens before it was complete; "
            "ask for more (without it the model's own default holds)",
            param="max_new_tokens",
        )
    raise Unanswered("the model's answer is not of the declared output_type", 422, (), final=True)


def encode_error(error: GatewayError) -> bytes:
    if isinstance(error, Malformed):
        field = (error.param or "").partition("[")[0]
        return to_json({"detail": [Problem(("body", field) if field else ("body",), error.message)]})
    return to_json({"detail": error.message})


def status(error: GatewayError) -> int:
    return 594 if isinstance(error, UnknownModel) else STATUS.get(error.status, error.status)


def chunks(request: CompletionRequest, id: str, created: int, plan: Plan) -> Chunks:
    raise AssertionError("a request of this dialect never streams: its clients poll")
