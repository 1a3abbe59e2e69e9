"""``POST /v1/completion/typed``: an answer that is JSON of a TypeScript type. All else is as on ``/v1/completion``, to
which the published Python client sends these requests, too.

The definitions stand behind the prompt, comments and all, as ``question`` has it: engines that constrain an answer do
not show their model what to. An answer that the limit of tokens cut off is a failed one; in a stream, whose reader has
seen it by then, it ends with ``length``. ``stop`` is not applied: it would end the JSON in its middle. ``user_id``,
which the Go client always sends, means nothing here.
"""

import re
from hashlib import blake2b

import msgspec
from msgspec import Raw, Struct

from adapters.errors import Invalid
from adapters.types import Fields, JsonSchema
from gateway.errors import BadRequest, GatewayError, LegFailure, Unanswered
from gateway.types import CompletionRequest, CompletionResponse, Part, Plan
from gateway.typescript import TypeScriptError, schema_of
from gateway.wire import body as wire
from gateway.wire import constrained, thiggle
from gateway.wire.dialect import Dialect
from gateway.wire.thiggle import ThiggleChunks
from gateway.wire.values import Text

MAX_NAME = 64
"""Characters of a schema's name at OpenAI, which are letters, digits, _ and -."""

CUT_OFF = (
    "the answer reached the limit of tokens before its JSON was complete: raise max_tokens (without it the model's "
    "own default holds), or bound the type's texts and lists"
)

EXPECTED = {
    "schema": "exported TypeScript definitions as a text",
    "type_name": "the name of a type that schema exports",
}
ENGINES = "another model may be able to"

NULL = Raw(b"null")
OWN = ("schema", "type_name")

replace = msgspec.structs.replace


class TypedBody(Struct):
    """What this route has beyond the other."""

    schema: Text
    type_name: Text


decode_typed = msgspec.json.Decoder(TypedBody).decode
decode_json = msgspec.json.Decoder(Raw).decode


class Conversions:
    """JSON Schemas of the types that were asked for last: callers send the same definitions with every request.

    Texts are kept as digests only. ``most`` bounds how many schemas are kept.
    """

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._known: dict[tuple[bytes, str], Raw] = {}

    def schema(self, text: str, type_name: str) -> Raw:
        """Raises BadRequest for definitions that cannot be converted, with line and column."""
        key = (blake2b(text.encode(), digest_size=16).digest(), type_name)
        found = self._known.pop(key, None)
        if found is None:
            found = converted(text, type_name)
            if len(self._known) == self._most:
                del self._known[next(iter(self._known))]
        self._known[key] = found  # the last one now
        return found


def converted(text: str, type_name: str) -> Raw:
    try:
        schema = schema_of(text, type_name)
    except TypeScriptError as exc:
        raise BadRequest(f"{exc.param}: {exc}", param=exc.param) from None
    return schema if isinstance(schema, Raw) else Raw(thiggle.to_json(schema))


class Typed:
    """The dialect of the route."""

    def __init__(self, conversions: Conversions) -> None:
        self._conversions = conversions

    def read(self, body: bytes, max_depth: int) -> wire.Body:
        return thiggle.read(body, max_depth)

    def decode(self, body: wire.Body) -> CompletionRequest:
        found = body.fields
        asked: TypedBody = wire.convert(decode_typed, body.data, found, EXPECTED)
        request = thiggle.decode(wire.Body(body.data, {name: found[name] for name in found if name not in OWN}))
        assert isinstance(request.input, str)
        schema = self._conversions.schema(asked.schema, asked.type_name)
        return replace(
            request,
            input=question(request.input, asked.schema, asked.type_name),
            params=replace(request.params, stop=()),
            constraint=JsonSchema(schema, name_of(asked.type_name)),
            constrained_by="schema",
        )

    def encode(self, request: CompletionRequest, response: CompletionResponse) -> bytes:
        parts = tuple([whole(part) for part in response.parts])
        cut = [part for part, given in zip(parts, response.parts, strict=True) if part is not given]
        if cut and (request.strict or answering(request, parts) < needed(request, response.legs)):
            raise cut_off(cut)
        return thiggle.encode(request, replace(response, parts=parts) if cut else response)

    def encode_error(self, error: GatewayError) -> bytes:
        return constrained.encode_error(error, ("schema",), ENGINES)

    def status(self, error: GatewayError) -> int:
        return thiggle.status(error)

    def chunks(self, request: CompletionRequest, id: str, created: int, plan: Plan) -> ThiggleChunks:
        return thiggle.chunks(request, id, created, plan)


def question(prompt: str, schema: str, type_name: str) -> str:
    """What the model is asked."""
    return (
        f"{prompt}\n\nAnswer with JSON of the TypeScript type {type_name}, and nothing else. It is defined so:\n\n"
        f"```typescript\n{schema.strip()}\n```\n\n"
    )


def name_of(type_name: str) -> str:
    """The name of the type, as far as it can be a schema's."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", type_name)[:MAX_NAME]


def whole(part: Part) -> Part:
    """The choice; a failed one if it was cut off at the limit of tokens."""
    if part.error is not None or part.finish != "length" or is_json(part.text):
        return part
    return replace(part, text="", finish=None, error=Invalid(CUT_OFF, param="max_tokens"))


def answering(request: CompletionRequest, parts: tuple[Part, ...]) -> int:
    """How many models have answered: with one whole choice at least. Each has ``n`` choices, one behind another."""
    return len({part.index // request.params.n for part in parts if part.error is None})


def needed(request: CompletionRequest, models: int) -> int:
    """How many of them must; of a quorum that says no number, the majority."""
    if request.min_success is not None:
        return request.min_success
    return models // 2 + 1 if request.mode == "quorum" else 1


def is_json(text: str) -> bool:
    try:
        decode_json(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def cut_off(parts: list[Part]) -> GatewayError:
    legs = tuple([LegFailure(part.index, part.model, Invalid.code, CUT_OFF) for part in parts])
    message = "; ".join(dict.fromkeys([f"{leg.model}: {leg.message}" for leg in legs]))
    return Unanswered(message, 422, legs, final=True, param="max_tokens")


class Completions:
    """The door of ``/v1/completion``: what has a schema or a type's name is typed."""

    def __init__(self, typed: Dialect) -> None:
        self._typed = typed

    def early(self, lamini: bool) -> Dialect:
        return thiggle

    def enter(self, body: bytes, max_depth: int, lamini: bool) -> tuple[Dialect, wire.Body]:
        found = thiggle.read(body, max_depth)
        fields = found.fields
        typed = ("schema" in fields or "type_name" in fields) and is_typed(fields)
        return (self._typed if typed else thiggle), found


def is_typed(found: Fields) -> bool:
    return any(found.get(name, NULL) != NULL for name in OWN)
