"""Texts as finite grammars: of a length, matching a pattern, or in a format."""

from functools import lru_cache
from typing import Any

from adapters.local.finite.documents import counts
from adapters.local.finite.expressions import WORDING, expression
from adapters.local.finite.sentences import Ranges, Sentence, chars, literal, optional, repeat, sequence

MAX_TEXT = 1000
"""Characters that a text may need; llama.cpp writes repetitions out."""

DAY = "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
NAME = "[a-z]{1,12}"
SITE = rf"{NAME}\.(com|org|net)"
ADDRESS = rf"https://{SITE}(/{NAME})?"
PERSON = f"{NAME}@{SITE}"
BYTE = "([1-9]?[0-9]|1[0-9][0-9])"

FORMATS = {
    "date": DAY,
    "date-time": f"{DAY}T{CLOCK}",
    "duration": "P([1-9][0-9]?D|T[1-9][0-9]?[HM])",
    "email": PERSON,
    "hostname": SITE,
    "idn-email": PERSON,
    "idn-hostname": SITE,
    "ipv4": rf"{BYTE}\.{BYTE}\.{BYTE}\.{BYTE}",
    "ipv6": "2001:db8::[1-9a-f][0-9a-f]{0,3}",
    "iri": ADDRESS,
    "iri-reference": f"/{NAME}",
    "json-pointer": f"/{NAME}",
    "regex": NAME,
    "relative-json-pointer": f"[0-3]/{NAME}",
    "time": CLOCK,
    "uri": ADDRESS,
    "uri-reference": f"/{NAME}",
    "uri-template": ADDRESS,
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
}
"""Of each format some texts that every reader takes. https://json-schema.org/draft/2020-12/json-schema-validation#name-defined-formats"""

FIRST: Ranges = ((48, 57), (65, 90), (97, 122))
"""What a text begins with, if nothing is asked of it."""

QUOTE = literal('"')


def text(schemas: list[dict[str, Any]], freedom: int) -> Sentence | None:
    """What all of these ask together, of so many characters unless they ask for more. None where nothing is certain."""
    shortest = max(counts(schemas, "minLength"), default=0)
    longest = min(counts(schemas, "maxLength"), default=None)
    if shortest > MAX_TEXT or longest is not None and longest < shortest:
        return None
    patterns = {str(one["pattern"]) for one in schemas if "pattern" in one}
    patterns |= {f"^{FORMATS[name]}$" for one in schemas if (name := str(one.get("format"))) in FORMATS}
    if len(patterns) > 1:
        return None
    if not patterns:
        return plain(shortest, max(shortest, freedom if longest is None else min(freedom, longest)))
    inside = expression(patterns.pop(), shortest, longest, freedom // 4)
    return None if inside is None else sequence(QUOTE, inside, QUOTE)


@lru_cache(maxsize=64)
def plain(shortest: int, longest: int) -> Sentence:
    """Any text: the same object each time, so that a grammar holds it once."""
    if not longest:
        return literal('""')
    inside = sequence(chars(FIRST), repeat(chars(WORDING), max(shortest - 1, 0), longest - 1))
    return sequence(QUOTE, inside if shortest else optional(inside), QUOTE)
