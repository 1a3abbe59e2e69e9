"""What constrains an answer, in all the spellings that callers of OpenAI's wire have for it.

``response_format`` is OpenAI's; ``guided_*`` vLLM's before 0.12, ``structured_outputs`` since. A constraint becomes one
value, whichever way it was said; what cannot be one is refused, and nothing is passed over.
https://docs.vllm.ai/en/latest/features/structured_outputs.html
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.types import AnyJson, Constraint, Fields, Grammar, JsonSchema, OneOf, Regex
from gateway.errors import BadRequest
from gateway.wire.body import shown

GUIDED = frozenset(
    {"guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_json_object", "structured_outputs"}
    | {"guided_whitespace_pattern", "guided_decoding_backend", "response_format"}
)

KINDS = {
    "guided_json": "json",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
    "guided_json_object": "json_object",
}

BACKENDS = ("outlines", "lm-format-enforcer", "xgrammar", "guidance", "auto")
OPTIONS = ("whitespace_pattern", "disable_any_whitespace", "disable_additional_properties", "disable_fallback")

ONE_GUIDED = "You can only use one kind of guided decoding ('guided_json', 'guided_regex' or 'guided_choice')."
ONE_STRUCTURED = "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice')."

NULL = Raw(b"null")


class JsonSchemaFormat(Struct):
    name: str = "answer"
    description: str | None = None
    schema: Raw = Raw(b"null")
    strict: bool | None = None


class ResponseFormat(Struct):
    """``schema`` beside ``json_object`` is what several hosts of open models take."""

    type: str
    json_schema: JsonSchemaFormat | None = None
    schema: Raw = Raw(b"null")


decode_format = msgspec.json.Decoder(ResponseFormat).decode
decode_fields = msgspec.json.Decoder(Fields).decode
decode_text = msgspec.json.Decoder(str).decode
decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode
decode_bool = msgspec.json.Decoder(bool).decode


def constraint_of(found: Fields) -> tuple[Constraint | None, str | None]:
    """The constraint, and the field that says it. Raises BadRequest for more than one, and for one that cannot be."""
    given = {name: value for name, value in found.items() if name in GUIDED and value != NULL}
    check_backend(given.pop("guided_decoding_backend", NULL))
    whitespace = given.pop("guided_whitespace_pattern", None)
    by_format = of_format(given.pop("response_format", NULL))
    structured = given.pop("structured_outputs", None)
    named = list(given)
    if len(named) > 1:
        raise BadRequest(ONE_GUIDED, param=named[1])
    said: list[tuple[Constraint, str]] = []
    if named:
        options = {} if whitespace is None else {"whitespace_pattern": whitespace}
        made = of_kind(KINDS[named[0]], given[named[0]], named[0], options)
        if made is not None:
            said.append((made, named[0]))
    if structured is not None:
        made = of_structured(structured)
        if made is not None:
            said.append((made, "structured_outputs"))
    if by_format is not None:
        said.append((by_format, "response_format"))
    if len(said) > 1:
        fields = " and ".join(name for _, name in said)
        raise BadRequest(f"{fields} both constrain the answer; give one of them", param=said[1][1])
    if whitespace is not None and not (said and isinstance(said[0][0], JsonSchema | AnyJson)):
        raise BadRequest("guided_whitespace_pattern: only goes with guided_json", param="guided_whitespace_pattern")
    return said[0] if said else (None, None)


def of_format(raw: Raw) -> Constraint | None:
    """What ``response_format`` asks for."""
    if raw == NULL:
        return None
    given = typed(decode_format, raw, "response_format", 'an object such as {"type": "json_object"}')
    if given.type == "text":
        return None
    if given.type == "json_object":
        return AnyJson() if given.schema == NULL else JsonSchema(object_of(given.schema))
    if given.type != "json_schema":
        raise BadRequest(
            f"response_format.type: must be text, json_object or json_schema, not {shown(given.type)!r}",
            param="response_format",
        )
    wanted = given.json_schema
    if wanted is None:
        raise BadRequest(
            "When response_format type is 'json_schema', the 'json_schema' field must be provided.",
            param="response_format",
        )
    if wanted.schema == NULL:
        return AnyJson()
    schema = object_of(wanted.schema, "response_format")
    return JsonSchema(schema, wanted.name, bool(wanted.strict), wanted.description)


def of_structured(raw: Raw) -> Constraint | None:
    """What ``structured_outputs`` asks for: one kind, and options beside it."""
    given = typed(decode_fields, raw, "structured_outputs", 'an object such as {"json": {"type": "object"}}')
    given = {name: value for name, value in given.items() if value != NULL}
    options = {name: given.pop(name) for name in OPTIONS if name in given}
    given = {name: value for name, value in given.items() if not (name == "json_object" and value == Raw(b"false"))}
    if len(given) > 1:
        raise BadRequest(ONE_STRUCTURED, param="structured_outputs")
    if not given:
        raise BadRequest(
            "structured_outputs: needs json, regex, choice, grammar or json_object", param="structured_outputs"
        )
    [(kind, value)] = given.items()
    return of_kind(kind, value, f"structured_outputs.{kind}", options)


def of_kind(kind: str, value: Raw, param: str, options: Fields) -> Constraint | None:
    if options and kind not in ("json", "json_object"):
        name = next(iter(options))
        raise BadRequest(f"{name}: only goes with a JSON schema", param=param)
    if kind == "json":
        return JsonSchema(object_of(value, param), strict=False, options=options or None)
    if kind == "json_object":
        if not typed(decode_bool, value, param, "true or false"):
            return None
        return JsonSchema(Raw(b'{"type":"object"}'), strict=False, options=options) if options else AnyJson()
    if kind == "regex":
        return Regex(typed(decode_text, value, param, "a regular expression as a text"))
    if kind == "choice":
        return OneOf(typed(decode_texts, value, param, "a list of texts"))
    if kind == "grammar":
        return Grammar(typed(decode_text, value, param, "a grammar as a text"))
    raise BadRequest(
        f"{param}: is not a constraint that is understood here (json, regex, choice, grammar)", param=param
    )


def object_of(value: Raw, param: str = "response_format") -> Raw:
    """A schema, which may also be given as JSON in a text."""
    data = bytes(value)
    if data.startswith(b'"'):
        data = decode_text(data).encode()
    try:
        read = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest(f"{param}: the schema is not valid JSON", param=param) from None
    if not isinstance(read, dict | bool):
        raise BadRequest(f"{param}: a JSON schema is an object", param=param)
    return Raw(data)


def check_backend(raw: Raw) -> None:
    if raw == NULL:
        return
    name = typed(decode_text, raw, "guided_decoding_backend", "a text")
    if name.partition(":")[0] not in BACKENDS:
        raise BadRequest(
            f"Unknown guided decoding backend '{shown(name)}'. Must be one of 'outlines, 'lm-format-enforcer'",
            param="guided_decoding_backend",
        )


def typed(decode: Any, raw: Raw, param: str, must: str) -> Any:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        detail = str(exc).replace("`", "").replace("$", param.rpartition(".")[2])
        raise BadRequest(f"{param}: must be {must} ({detail})", param=param) from None
