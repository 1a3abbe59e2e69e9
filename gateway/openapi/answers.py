"""Components: what the routes answer, and their errors. Objects may hold more than is said here: what a provider wrote
comes back."""

from typing import Any

import msgspec

from gateway.openapi.operation import REF, Schema, ref
from gateway.wire import categorize, constrained, thiggle

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def an_object(properties: dict[str, Schema], *optional: str) -> Schema:
    """All of its properties are there, but for the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def only(value: Any) -> Schema:
    return {"const": value}


PATH: Schema = {**TEXT, "description": "a JSON pointer to what breaks the type in the model's answer"}
FAILURE = an_object({"index": WHOLE, "model": TEXT, "code": TEXT, "message": TEXT, "path": PATH}, "path")
FAILURES = {"errors": list_of(ref("ModelFailure"))}

USAGE = {
    "description": "As the provider has told it, where one has: then it may lack a figure, or have more.",
    **an_object(
        {"prompt_tokens": WHOLE, "completion_tokens": WHOLE, "total_tokens": WHOLE}, "completion_tokens", "total_tokens"
    ),
}

AGREEMENT: Schema = {"description": "in the answer's shape, the share of answers that have each leaf"}
CHOICE: dict[str, Schema] = {
    "index": WHOLE,
    "finish_reason": TEXT_OR_NULL,
    "model": TEXT,
    "usage": ref("Usage"),
    "agreement": AGREEMENT,
}


def openai_answer(kind: str, choice: dict[str, Schema]) -> Schema:
    choices = list_of(an_object({**CHOICE, **choice}, "model", "usage", "agreement"))
    head = {"id": TEXT, "object": only(kind), "created": WHOLE, "model": TEXT}
    return an_object({**head, "choices": choices, "usage": ref("Usage"), **FAILURES}, "errors")


MESSAGE: Schema = {"type": "object", "properties": {"role": TEXT, "content": TEXT_OR_NULL}}

VECTOR: Schema = {"anyOf": [list_of({"type": "number"}), {**TEXT, "description": "base64 of 32-bit floats"}]}
EMBEDDING = an_object({"object": only("embedding"), "index": WHOLE, "embedding": VECTOR})

OUTPUTS = list_of({"type": "object"})
FINISHES = list_of(TEXT_OR_NULL)

HAND_WRITTEN: dict[str, Schema] = {
    "Usage": USAGE,
    "ModelFailure": FAILURE,
    "ChatCompletion": openai_answer("chat.completion", {"message": MESSAGE}),
    "TextCompletion": openai_answer("text_completion", {"text": TEXT}),
    "LaminiOutput": {
        "description": "An object, or for a list of prompts a list of them: with output, or with what was declared.",
        "anyOf": [{"type": "object"}, OUTPUTS],
    },
    "AnyCompletion": {"anyOf": [ref("TextCompletion"), ref("LaminiOutput")]},
    "Embeddings": an_object(
        {
            "object": only("list"),
            "data": list_of(EMBEDDING),
            "model": TEXT,
            "usage": an_object({"prompt_tokens": WHOLE, "total_tokens": WHOLE}),
        }
    ),
    "Embedding": an_object({"embedding": {"anyOf": [VECTOR, list_of(list_of({"type": "number"}))]}}),
    "JobId": an_object({"id": TEXT}),
    "JobResult": {
        "description": "Empty until the job has begun.",
        **an_object({"outputs": OUTPUTS, "finish_reason": FINISHES}, "outputs", "finish_reason"),
    },
    "OldJobResult": an_object({"server": TEXT, "status": list_of({"type": "boolean"}), "data": OUTPUTS}),
    "Reservation": an_object(
        {
            "reservation_id": TEXT,
            "capacity_remaining": WHOLE,
            "dynamic_max_batch_size": WHOLE,
            "start_time": TEXT,
            "end_time": TEXT,
        }
    ),
    "Model": an_object({"id": TEXT, "object": only("model"), "created": WHOLE, "owned_by": TEXT}),
    "Models": an_object({"object": only("list"), "data": list_of(ref("Model"))}),
    "Status": an_object({"status": {"enum": ["ok", "ready", "starting"]}}),
    "Text": TEXT,
    "Object": {"type": "object"},
    "OpenAIError": an_object(
        {
            "error": an_object(
                {"message": TEXT, "type": TEXT, "param": TEXT_OR_NULL, "code": TEXT_OR_NULL, **FAILURES}, "errors"
            )
        }
    ),
    "FlatError": an_object({"error": TEXT, "code": WHOLE, "param": TEXT, **FAILURES}, "param", "errors"),
    "DetailError": an_object(
        {"detail": {"anyOf": [TEXT, list_of(an_object({"loc": list_of(TEXT), "msg": TEXT, "type": TEXT}))]}}
    ),
    "AnyError": {"description": "An error that clients of all dialects can read.", "allOf": [ref("OpenAIError")]},
    "ErrorOfAnyForm": {"anyOf": [ref("OpenAIError"), ref("DetailError")]},
}

STRUCTS: dict[str, Any] = {
    "CompletionAnswer": thiggle.ResponseBody,
    "Match": constrained.Matched,
    "Categories": categorize.ResponseBody,
}


def components() -> dict[str, Schema]:
    found = dict(HAND_WRITTEN)
    for name, struct in STRUCTS.items():
        _, parts = msgspec.json.schema_components((struct,), ref_template=REF)
        own = parts.pop(struct.__name__)
        own.pop("description", None)
        found |= {name: {**own, "title": name}, **parts}
    return found
