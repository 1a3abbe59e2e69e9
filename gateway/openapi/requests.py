"""Components: what the routes take. The fields that a dialect reads are told by its own Struct, in its own words."""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.openapi.operation import REF, Schema, ref
from gateway.wire import categorize, cfg, chat, completions, embeddings, lamini, lamini_embedding, regex, thiggle, typed

TEXT: Schema = {"type": "string", "minLength": 1}
ID: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
IDS: Schema = {"type": "array", "items": ID, "minItems": 1}


def list_of(items: Schema, most: int) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def prompts(most: int) -> Schema:
    """A text or token ids, one or several."""
    return {"anyOf": [TEXT, IDS, list_of(TEXT, most), list_of(IDS, most)]}


NAMES: Schema = {"anyOf": [TEXT, list_of(TEXT, 16)]}

MESSAGES: Schema = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "object", "properties": {"role": TEXT, "content": {}}, "required": ["role"]},
}

OBJECT: Schema = {"type": ["object", "null"]}

CONSTRAINED: dict[str, Schema] = {
    "response_format": {**OBJECT, "description": 'such as {"type": "json_schema", "json_schema": {...}}'},
    "structured_outputs": {**OBJECT, "description": "vLLM's: an object with json, regex, choice or grammar"},
    "guided_json": {"type": ["object", "string", "null"], "description": "a JSON Schema"},
    "guided_regex": {"type": ["string", "null"], "description": "a regular expression"},
    "guided_choice": {"type": ["array", "null"], "items": {"type": "string"}, "description": "texts to choose from"},
    "guided_grammar": {"type": ["string", "null"], "description": "a grammar, in EBNF or Lark"},
}

TOOLS: dict[str, Schema] = {
    "tools": {"type": ["array", "null"], "items": {"type": "object"}, "description": "what the model may call"},
    "tool_choice": {"type": ["string", "object", "null"], "description": "whether, or which, it must"},
}


def read_by(struct: type[Struct], said: dict[str, str], name: str) -> dict[str, Schema]:
    """The Struct as a component of this name, with the Structs that it holds."""
    _, found = msgspec.json.schema_components((struct,), ref_template=REF)
    own = found.pop(struct.__name__)
    own["title"] = name
    own.pop("description", None)  # a Struct's docstring speaks to those who read the code
    for field, schema in own["properties"].items():
        if field in said:
            schema["description"] = said[field]
    return {name: own, **found}


def components() -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for struct, said, name in STRUCTS:
        for part, schema in read_by(struct, said, name).items():
            assert found.get(part, schema) == schema, f"two components are called {part}"
            found[part] = schema
    for name, required, fields in FURTHER:
        own = found[name]
        own["properties"] |= fields
        own["required"] = sorted({*own.get("required", ()), *required})
    types = found.pop("Types")
    found["TypedCompletion"] = joined(found["Completion"], types, "TypedCompletion", types["required"])
    found["Completion"] = joined(found["Completion"], types, "Completion", [])
    found["OldLaminiRequest"] = joined(found["LaminiRequest"], {"properties": SERVER}, "OldLaminiRequest", [])
    found["AnyCompletionRequest"] = {"anyOf": [ref("CompletionsRequest"), ref("LaminiRequest")]}
    found["ReservationRequest"] = {"title": "ReservationRequest", "type": "object", "properties": RESERVATION}
    for name, example in EXAMPLES.items():
        found[name] = {**found[name], "examples": [example]}
    return found


def joined(one: Schema, other: Schema, name: str, required: list[str]) -> Schema:
    """One component's fields and another's, of which these are required."""
    properties = {**one["properties"], **other["properties"]}
    return {**one, "title": name, "properties": properties, "required": [*one["required"], *required]}


STRUCTS: tuple[tuple[type[Struct], dict[str, str], str], ...] = (
    (thiggle.RequestBody, thiggle.EXPECTED, "Completion"),
    (typed.TypedBody, typed.EXPECTED, "Types"),
    (regex.RequestBody, regex.EXPECTED, "RegexCompletion"),
    (cfg.RequestBody, cfg.EXPECTED, "GrammarCompletion"),
    (categorize.RequestBody, categorize.EXPECTED, "Categorize"),
    (chat.Asked, chat.EXPECTED_HERE, "ChatRequest"),
    (completions.Asked, completions.EXPECTED_HERE, "CompletionsRequest"),
    (embeddings.Asked, embeddings.EXPECTED, "EmbeddingsRequest"),
    (lamini.RequestBody, lamini.EXPECTED, "LaminiRequest"),
    (lamini_embedding.Asked, lamini.EXPECTED, "EmbeddingRequest"),
)
"""What is read of each request, the words that its errors have for the fields, and the component's name."""

FURTHER: tuple[tuple[str, tuple[str, ...], dict[str, Schema]], ...] = (
    ("ChatRequest", ("model", "messages"), {"model": NAMES, "messages": MESSAGES, **CONSTRAINED, **TOOLS}),
    (
        "CompletionsRequest",
        ("model", "prompt"),
        {"model": NAMES, "prompt": prompts(completions.MAX_PROMPTS), **CONSTRAINED},
    ),
    (
        "EmbeddingsRequest",
        ("model", "input"),
        {"model": TEXT, "input": prompts(embeddings.MOST), "user": {"type": ["string", "null"]}},
    ),
    ("LaminiRequest", ("model_name",), {"model_name": TEXT}),
    ("EmbeddingRequest", ("model_name",), {"model_name": TEXT}),
)
"""The fields that are read elsewhere, or passed on, and what is required beyond what a Struct says."""

SERVER: dict[str, Schema] = {
    "server": {"type": ["string", "integer", "null"], "description": "the job, as the answer before has named it"}
}
RESERVATION: dict[str, Schema] = {
    "capacity": {"type": "integer", "description": "prompts to come"},
    "batch_size": {"type": "integer", "description": "prompts in one request"},
    "model_name": {"type": "string"},
    "max_tokens": {"type": ["integer", "null"]},
}

MESSAGE = [{"role": "user", "content": "What is 2 + 3?"}]
DEFINITION = "export interface Sum { value: number }"

EXAMPLES: dict[str, dict[str, Any]] = {
    "ChatRequest": {"model": "demo", "messages": MESSAGE, "max_tokens": 20},
    "CompletionsRequest": {"model": "demo", "prompt": "Once upon a time", "max_tokens": 20},
    "EmbeddingsRequest": {"model": "demo", "input": ["one text", "another"]},
    "Completion": {"model": ["demo", "demo-creative"], "prompt": "What is 2 + 3?", "max_tokens": 20},
    "TypedCompletion": {"model": "demo", "prompt": "What is 2 + 3?", "schema": DEFINITION, "type_name": "Sum"},
    "RegexCompletion": {"model": "demo", "prompt": "What is 2 + 3? ", "pattern": "[0-9]+"},
    "GrammarCompletion": {"model": "demo", "prompt": "Is it? ", "grammar": 'root ::= "yes" | "no"'},
    "Categorize": {"model": "demo", "prompt": "The sky is", "categories": ["blue", "red"]},
    "LaminiRequest": {"model_name": "demo", "prompt": "What is 2 + 3?", "output_type": {"value": "int"}},
    "OldLaminiRequest": {"model_name": "demo", "prompt": "What is 2 + 3?"},
    "EmbeddingRequest": {"model_name": "demo", "prompt": "one text"},
    "ReservationRequest": {"capacity": 10, "batch_size": 5},
}
"""A body for each request, as a caller of the demo models may send it."""
