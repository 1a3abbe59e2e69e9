"""Keywords that a target does not know, in words for a model that reads the schema."""

from typing import Any

LONGEST = 200
"""Characters of a pattern that are worth telling."""

PHRASES = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} members",
    "maxProperties": "at most {} members",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matching {}",
    "format": "in the format {}",
    "uniqueItems": "no item twice",
}


LENGTHS = {"minLength": "maxLength", "minItems": "maxItems", "minProperties": "maxProperties"}
OTHER_END = {most: least for least, most in LENGTHS.items()}


def phrases_of(keywords: dict[str, Any]) -> list[str]:
    """What these keywords ask for, but for what asks for nothing or cannot be told briefly."""
    told = {name: value for name, value in keywords.items() if name in PHRASES and len(str(value)) <= LONGEST}
    phrases = []
    for name, value in told.items():
        if value is not False and not is_exact(told, OTHER_END.get(name)):
            phrase = PHRASES[name].format(value)
            phrase = phrase.replace("at least", "exactly") if is_exact(told, name) else phrase
            phrases.append(phrase[:-1] if value == 1 and phrase.endswith("s") else phrase)
    return phrases


def is_exact(keywords: dict[str, Any], least: str | None) -> bool:
    """Whether a lower end is the upper one, too."""
    return least in LENGTHS and least in keywords and keywords[least] == keywords.get(LENGTHS[least])


def described(notes: dict[str, Any], phrases: list[str]) -> dict[str, Any]:
    """The notes on a schema, with these phrases in its description."""
    if not phrases:
        return notes
    said = ", ".join(phrases)
    own = notes.get("description")
    return notes | {"description": f"{own} ({said})" if own else said[0].upper() + said[1:]}
