"""``POST /v1/completion/typed``: an answer that is JSON of a TypeScript type. All else is as on ``/v1/completion``, to
which the published Python client sends these requests, too.

The definitions stand behind the prompt, comments and all, where the target's model can read them: engines that
constrain an answer do not show it what to. An answer that the limit of tokens cut off is a failed one. ``stop`` is not
applied: it would end the JSON in its middle. ``user_id``, which the Go client always sends, means nothing here.
"""

import re
from hashlib import blake2b

import msgspec
from msgspec import Raw, Struct

from adapters.types import Fields, JsonSchema
from gateway.errors import BadRequest, GatewayError
from gateway.types import CompletionRequest, CompletionResponse, Plan
from gateway.typescript import TypeScriptError, schema_of
from gateway.wire import body as wire
from gateway.wire import constrained, thiggle
from gateway.wire.dialect import Dialect
from gateway.wire.thiggle import ThiggleChunks
from gateway.wire.values import Text

MAX_NAME = 64
"""Characters of a schema's name at OpenAI, which are letters, digits, _ and -."""

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
        schema = self._conversions.schema(asked.schema, asked.type_name)
        return replace(
            request,
            params=replace(request.params, stop=()),
            constraint=JsonSchema(schema, name_of(asked.type_name)),
            constrained_by="schema",
            unheld=frozenset(),
            hint=hint(asked.schema, asked.type_name),
        )

    def encode(self, request: CompletionRequest, response: CompletionResponse) -> bytes:
        return thiggle.encode(request, response)

    def encode_error(self, error: GatewayError) -> bytes:
        return constrained.encode_error(error, ("schema",), ENGINES)

    def status(self, error: GatewayError) -> int:
        return thiggle.status(error)

    def chunks(self, request: CompletionRequest, id: str, created: int, plan: Plan) -> ThiggleChunks:
        return thiggle.chunks(request, id, created, plan)


def hint(schema: str, type_name: str) -> str:
    """What shows the type to a model: the definitions as they were written, comments and all."""
    return (
        f"Answer with JSON of the TypeScript type {type_name}, and nothing else. It is defined so:\n\n"
        f"```typescript\n{schema.strip()}\n```"
    )


def name_of(type_name: str) -> str:
    """The name of the type, as far as it can be a schema's."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", type_name)[:MAX_NAME]


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
