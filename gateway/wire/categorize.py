"""``POST /v1/categorize``: which of some categories a text belongs to.

The categories are named to the model behind the prompt, as ``question`` has it. One category is asked for as a choice
among texts, several as a JSON list. That no category is named twice is seen to here: engines either refuse
``uniqueItems`` or pass over it.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from adapters.errors import Invalid
from adapters.types import Constraint, JsonSchema, OneOf, Params
from gateway.errors import BadRequest, GatewayError, LegFailure, Unanswered
from gateway.types import CompletionRequest, CompletionResponse
from gateway.wire import body as wire
from gateway.wire import constrained, thiggle
from gateway.wire.constrained import OneModel, check_fields
from gateway.wire.thiggle import to_json
from gateway.wire.values import Text

MAX_CATEGORIES = 256
NONE = "none of these"
"""What a model says where no category fits; what stands for it among categories that have this, too, is a longer word
for it."""

EXPECTED = {
    **constrained.EXPECTED,
    "categories": f"a list of 1 to {MAX_CATEGORIES} texts, none of them empty or twice",
    "allow_null_category": "true or false",
    "allow_multiple_classes": "true or false",
}
ENGINES = "another model may be able to choose among categories"


class RequestBody(OneModel):
    categories: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_CATEGORIES)]
    allow_null_category: bool | None = None
    allow_multiple_classes: bool | None = None


class ResponseBody(Struct):
    choices: tuple[str, ...]


class Choosing(Struct, frozen=True):
    """How an answer is read. ``null`` is the word for no category, if that is allowed and one is wanted."""

    categories: tuple[str, ...]
    several: bool
    null: str | None


KNOWN = frozenset(RequestBody.__struct_fields__)
decode_body = msgspec.json.Decoder(RequestBody).decode
decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode

read = wire.read_leniently
status = thiggle.status
chunks = thiggle.chunks


def decode(body: wire.Body) -> CompletionRequest:
    asked: RequestBody = wire.convert(decode_body, body.data, body.fields, EXPECTED)
    check_fields(body.fields, KNOWN)
    categories, several = asked.categories, asked.allow_multiple_classes or False
    check_distinct(categories)
    optional = asked.allow_null_category or False
    null = word_for_none(categories) if optional and not several else None
    return CompletionRequest(
        thiggle.models_of(asked.model),
        question(asked.prompt, categories, several, optional, null),
        Params(),
        constraint=constraint_of(categories, several, optional, null),
        constrained_by="categories",
        note=Choosing(categories, several, null),
    )


def check_distinct(categories: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for i, category in enumerate(categories):
        if category in seen:
            raise BadRequest(f"categories[{i}]: {wire.shown(category)!r} is given twice", param="categories")
        seen.add(category)


def word_for_none(categories: tuple[str, ...]) -> str:
    known = {category.casefold() for category in categories}
    word = NONE
    while word in known:
        word = f"really {word}"
    return word


def constraint_of(categories: tuple[str, ...], several: bool, optional: bool, null: str | None) -> Constraint:
    if not several:
        return OneOf(categories if null is None else (*categories, null))
    items = {"type": "string", "enum": categories}
    schema = {"type": "array", "items": items, "minItems": 0 if optional else 1, "maxItems": len(categories)}
    return JsonSchema(Raw(to_json(schema)), name="categories")


def question(prompt: str, categories: tuple[str, ...], several: bool, optional: bool, null: str | None) -> str:
    """What the model is asked: the prompt, the task in a sentence, the categories line by line, and where the answer
    begins."""
    if several:
        task = "Which of these categories fit the text above? Answer with a JSON list of them and nothing else"
        task += ", or with [] if none fits:" if optional else ":"
    else:
        task = "Which of these categories fits the text above best? Answer with one of them and nothing else:"
    options = [*categories, *([null] if null is not None else [])]
    lines = [f"- {to_json(option).decode() if several else option}" for option in options]
    return "\n".join([prompt, "", task, *lines, "", "Categories: " if several else "Category: "])


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    [part] = response.parts
    chosen = chosen_of(request.note, part.text)
    if chosen is None:
        raise unreadable(part.model)
    return to_json(ResponseBody(tuple(chosen)))


def chosen_of(choosing: Choosing, text: str) -> Iterable[str] | None:
    """The categories that an answer names, each once; None if it is not what was asked for."""
    if not choosing.several:
        if text == choosing.null:
            return ()
        return (text,) if text in choosing.categories else None
    try:
        named = decode_texts(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return dict.fromkeys(named) if set(named) <= set(choosing.categories) else None


def unreadable(model: str) -> GatewayError:
    message = "the model's answer is not among the categories, or was cut off"
    return Unanswered(f"{model}: {message}", 422, (LegFailure(0, model, Invalid.code, message),), final=True)


def encode_error(error: GatewayError) -> bytes:
    return constrained.encode_error(error, ("categories",), ENGINES)
