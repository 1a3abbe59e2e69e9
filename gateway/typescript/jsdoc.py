"""JSDoc comments to keywords of JSON Schema: the text before the first tag is the description, and a tag that is
called like a keyword is that keyword. Other tags mean nothing here, but end what stands before them. A tag begins a
line; one that is known may also stand within it.

The tags are those of ts-json-schema-generator: https://github.com/vega/ts-json-schema-generator#readme
"""

import math
import re
from collections.abc import Callable

import msgspec
from msgspec import Struct

from gateway.typescript.errors import shown
from gateway.typescript.lexer import Source

COMMENT = re.compile(r"//[^\n\r\u2028\u2029]*+|/\*(?s:.*?)\*/")
WRAPPED = re.compile(r"(?<!\n)\n(?![\n\-*\d])")
LINK = re.compile(r"\{@link(?:code|plain)?\s++([^{}]*+)\}")

MAX_NESTING = 32

decode_number = msgspec.json.Decoder(int | float).decode

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
Keywords = dict[str, Json]


class Documentation(Struct, frozen=True, eq=False):
    """``keywords`` to add, with about as many characters as they take, and what a comment changes of the type
    itself."""

    keywords: Keywords
    length: int = 0
    integer: bool = False
    nullable: bool = False


def documentation(source: Source, index: int) -> Documentation | None:
    """What the last JSDoc comment before a token says; None if there is none."""
    space = source.spaces[index]
    comment = space.strip()
    if comment.startswith("/**") and 2 < comment.find("*/", 2) == len(comment) - 2:  # one comment and nothing else
        start = space.index("/**")
    else:
        found = [one for one in COMMENT.finditer(space) if one[0].startswith("/**") and len(one[0]) > 4]
        if not found:
            return None
        comment, start = found[-1][0], found[-1].start()
    lines = [line.strip() for line in comment[3:-2].splitlines()]
    text = "\n".join([line[1:].lstrip() if line[:1] == "*" else line for line in lines])
    if "@" in text:
        return _Reader(source, index, start).read(text)
    description = _prose(text)
    return Documentation({"description": description}, len(description)) if description else Documentation({})


def _prose(text: str) -> str:
    if "{@link" in text:
        text = LINK.sub(lambda link: link[1].strip(), text)
    text = text.strip()
    return WRAPPED.sub(" ", text) if "\n" in text else text


class _Reader:
    def __init__(self, source: Source, index: int, start: int) -> None:
        self._source = source
        self._index = index
        self._start = start

    def read(self, text: str) -> Documentation:
        tags = [found for found in TAG_OR_CODE.finditer(text) if found[1]]
        description = _prose(text[: tags[0].start()] if tags else text)
        keywords: Keywords = {"description": description} if description else {}
        integer = nullable = False
        ends = [*[tag.start() for tag in tags[1:]], len(text)]
        for tag, end in zip(tags, ends, strict=False):
            known = SPELLINGS.get(tag[1].lower())
            if known is None:
                continue
            value = text[tag.end() : end].strip()
            if known == "asType":
                integer = self._as_type(value)
            elif known == "nullable":
                nullable = True
            else:
                keywords[known] = self._value(known, value)
        return Documentation(keywords, sum(map(_length, keywords.values())), integer, nullable)

    def _value(self, tag: str, value: str) -> Json:
        try:
            return TAGS[tag](value)
        except ValueError as exc:
            raise self._error(f"@{tag} takes {exc}, not '{shown(value)}'") from None

    def _as_type(self, value: str) -> bool:
        word = _word(value)
        if word not in ("integer", "number"):
            raise self._error(f"@asType takes integer, not '{shown(value)}'")
        return word == "integer"

    def _error(self, message: str) -> Exception:
        before = len(self._source.spaces[self._index]) - self._start
        return self._source.error_at(self._source.offset(self._index) - before, message)


def _number(value: str) -> Json:
    try:
        number = decode_number(_word(value))
    except msgspec.DecodeError:
        raise ValueError("a number") from None
    if not math.isfinite(number) or abs(number) >= 2**63:
        raise ValueError("a number that fits in 64 bits")
    return int(number) if number == int(number) else number


def _count(value: str) -> Json:
    word = _word(value)
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise ValueError("a whole number")
    return int(word)


def _word(value: str) -> str:
    return value.split(maxsplit=1)[0] if value else ""


def _text(value: str) -> Json:
    if not value:
        raise ValueError("a text")
    return value


def _prose_text(value: str) -> Json:
    return _prose(str(_text(value)))


def _switch(value: str) -> Json:
    if value.split(maxsplit=1)[:1] in (["false"], ["true"]):
        return value.startswith("true")
    if value:
        raise ValueError("true or false")
    return True


def _flag(value: str) -> Json:
    return True


def _json(value: str) -> Json:
    """Anything; what is not JSON is a text as it stands."""
    try:
        made: Json = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value.strip("'") if value[:1] == "'" == value[-1:] else value
    except RecursionError:
        raise ValueError("JSON of less depth") from None
    if _nests(made, MAX_NESTING):
        raise ValueError("JSON of less depth")
    return made


def _list(value: str) -> Json:
    made = _json(value)
    if not isinstance(made, list):
        raise ValueError("a JSON list")
    return made


def _length(value: Json) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _length(item) for key, item in value.items())
    return 8 + (sum(map(_length, value)) if isinstance(value, list) else 0)


def _nests(value: Json, levels: int) -> bool:
    """Whether it is nested deeper than so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _nests(item, levels - 1) for item in inner)


TAGS: dict[str, Callable[[str], Json]] = {
    "additionalProperties": _switch,
    "default": _json,
    "deprecated": _flag,
    "description": _prose_text,
    "examples": _list,
    "exclusiveMaximum": _number,
    "exclusiveMinimum": _number,
    "format": _text,
    "maxItems": _count,
    "maxLength": _count,
    "maxProperties": _count,
    "maximum": _number,
    "minItems": _count,
    "minLength": _count,
    "minProperties": _count,
    "minimum": _number,
    "multipleOf": _number,
    "pattern": _text,
    "readOnly": _switch,
    "title": _prose_text,
    "uniqueItems": _switch,
    "writeOnly": _switch,
}
SPELLINGS = {tag.lower(): tag for tag in (*TAGS, "asType", "nullable")}
OTHERS = ("author", "example", "internal", "remarks", "see", "since", "todo", "version")
WITHIN = "|".join((*SPELLINGS, *OTHERS))
TAG_OR_CODE = re.compile(
    rf"`[^`\n]*+` | @ (?: (?<![^\n]@) | (?<!\S@) (?=(?i:{WITHIN})(?!\S)) ) ([A-Za-z][\w-]*+)[ \t]*+", re.VERBOSE
)
"""An address such as a@b, a word such as @team and what is in backquotes, within a line, are no tags."""
