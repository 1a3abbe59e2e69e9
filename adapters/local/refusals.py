"""What an engine has no words for, refused by the name that the caller has for it."""

from typing import Any

import msgspec

from adapters.errors import Rejected, inexpressible
from adapters.fields import NULL, written_as
from adapters.types import AnyJson, Call, Constraint, Fields, Grammar, JsonSchema, OneOf, Params, Prompts, Regex

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (None, 0, 1),
    "logit_bias": (None, {}),
    "min_p": (None, 0),
    "min_tokens": (None, 0),
    "suffix": (None, ""),
    "truncate": (None,),
    "logprobs": (None,),
}
"""Values that ask for nothing; of the parameters that are not here, only that they are there."""

CONSTRAINTS: dict[type[Constraint], str] = {
    JsonSchema: "guided_json",
    AnyJson: "response_format",
    Regex: "guided_regex",
    OneOf: "guided_choice",
    Grammar: "guided_grammar",
}
"""Constraints by the names that are the same in every dialect that has them."""


def lacks(asked: Params, who: str, *names: str) -> None:
    """Raises ``Rejected`` if one of these parameters asks for something."""
    for name in names:
        value = getattr(asked, name)
        if value not in NEUTRAL[name] if name in NEUTRAL else value:
            raise inexpressible(written_as(name), f"{who} has no {written_as(name)}: leave it out")


def unsayable(constraint: Constraint, who: str, can: str) -> Rejected:
    """The refusal of a constraint; ``can`` is what the engine can keep an answer to."""
    return inexpressible(CONSTRAINTS[type(constraint)], f"{who} can be constrained by {can} only")


def plain_schema(constraint: JsonSchema, who: str) -> msgspec.Raw:
    """The schema. Raises ``Rejected`` if it comes with options, which are vLLM's."""
    for name in wanted(constraint.options):
        raise inexpressible(name, f"{who} has no {name}: leave it out")
    return constraint.schema


def wanted(options: Fields | None) -> Fields:
    """The options that ask for something."""
    return {name: value for name, value in (options or {}).items() if value not in (NULL, msgspec.Raw(b"false"))}


def one_text(call: Call, who: str) -> str:
    """The text to be continued. Raises ``Rejected`` for several of them, and for token ids."""
    if isinstance(call.input, str):
        return call.input
    if isinstance(call.input, Prompts) and len(call.input.items) == 1 and isinstance(call.input.items[0], str):
        return call.input.items[0]
    raise inexpressible("prompt", f"{who} continues one text a request: send the prompt as a text")
