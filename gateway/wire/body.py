"""The body of a request as JSON, before any dialect looks at it: an object, not too deep, no key said twice.

The usual body costs two passes at C speed; only a suspicious one is looked at slowly.
"""

import json  # noqa: TID251 - tells line and column of a mistake, and sees a key that is written twice
import re
from hashlib import sha256
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from adapters.types import Fields
from gateway.errors import BadRequest

T = TypeVar("T")

decode_fields = msgspec.json.Decoder(Fields).decode
encode_fields = msgspec.json.Encoder().encode
restyle = msgspec.json.format
STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
RAW = re.compile(rb"[\x00-\x1f]")
OTHERS = bytes(set(range(256)) - set(b"[]{}"))
ALIKE = bytes.maketrans(b"{}", b"[]")
PRIVATE = frozenset({"prompt", "messages", "input"})
"""Fields whose values are nobody's business: no error repeats them."""

SHORT = 8_192
"""Bytes of a body up to which counting its brackets is cheaper than looking for them."""

READABLE = 1_048_576
"""Bytes of a body that may be read whole, to see how deep it is."""

SHOWN = 40
"""Characters of a caller's value that an error repeats."""


class Body(Struct):
    """A request's body: its bytes, and its fields with their values unread."""

    data: bytes
    fields: Fields


def read(body: bytes, max_depth: int) -> Body:
    return Body(body, fields(body, max_depth))


def read_leniently(body: bytes, max_depth: int) -> Body:
    """As some documentation has it: with raw line breaks and tabs inside strings."""
    try:
        return Body(body, fields(body, max_depth))
    except BadRequest:
        found = mended(body)
        if found is None:
            raise
        return Body(found, fields(found, max_depth))


def fields(body: bytes, max_depth: int, example: str = ' such as {"model": "...", ...}') -> Fields:
    """The object's keys with their values unread. Raises BadRequest for anything else, with the example."""
    try:
        if not body.isascii():
            body.decode()  # what is handed on unread, nobody else looks at
        found = decode_fields(body)
    except msgspec.ValidationError:
        raise BadRequest(f"the body must be a JSON object{example}") from None
    except RecursionError:
        raise too_deep(max_depth) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise_malformed(body)
    if (len(body) >= SHORT or body.count(b"[") + body.count(b"{") > max_depth) and not few(body, max_depth):
        check_depth(body, max_depth)
    if not is_plain(found, body):
        check_repeats(body)
    return found


def convert(decode: Any, body: bytes, found: Fields, expected: dict[str, str]) -> Any:
    """The body as a dialect's Struct. ``expected`` says in words what each field must be."""
    try:
        return decode(body)
    except msgspec.ValidationError as exc:
        raise_wrong(str(exc), found, expected)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise_malformed(body)


def is_plain(found: Fields, body: bytes) -> bool:
    """Whether the body is just these keys and values, as most clients write JSON: then no key stands twice. False means
    "look closer"."""
    spaced = body.startswith(b'": ', 2 + len(next(iter(found), "")))
    if len(body) >= SHORT:
        return is_filled(found, body, spaced)
    written = encode_fields(found)  # {"a":1,"b":2}
    plain = restyle(written, indent=0) if spaced else written  # {"a": 1, "b": 2}
    return plain == body or restyle(body, indent=-1) == restyle(written, indent=-1)


def is_filled(found: Fields, body: bytes, spaced: bool) -> bool:
    """The same without a copy: these keys and values, where they should be, leave no room for others."""
    colon, comma = (b'": ', 2) if spaced else (b'":', 1)
    at = 1
    for name, value in found.items():
        key = b'"%b%b' % (name.encode(), colon)
        if not body.startswith(key, at):
            return False
        at += len(key) + len(value) + comma
    return at - comma + 1 == len(body)


def few(body: bytes, most: int) -> bool:
    """Whether there are too few brackets to nest deeply; most are found at the speed of memchr."""
    if len(body) < SHORT:
        return body.count(b"[") + body.count(b"{") <= most
    at = -1
    for bracket in (b"[", b"{"):
        for _ in range(most // 2 + 1):
            at = body.find(bracket, at + 1)
            if at < 0:
                break
        else:
            return False
    return True


def check_depth(body: bytes, max_depth: int) -> None:
    """Of valid JSON. What is not too large is read and measured; of the rest, strings out, all else but brackets out,
    and then each pass takes the innermost level away."""
    if len(body) <= READABLE:
        if depth_of(msgspec.json.decode(body), max_depth) > max_depth:
            raise too_deep(max_depth)
        return
    brackets = STRINGS.sub(b"", body).translate(ALIKE, OTHERS)
    for _ in range(max_depth):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise too_deep(max_depth)


def depth_of(value: Any, enough: int) -> int:
    """How deep objects and lists are nested, level by level; no deeper than just beyond ``enough``."""
    depth, level = 0, [value]
    while level and depth <= enough:
        depth += 1
        inner = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
        level = [child for child in inner if isinstance(child, dict | list)]
    return depth


def too_deep(max_depth: int) -> BadRequest:
    return BadRequest(f"the body is nested deeper than {max_depth} levels")


def check_repeats(body: bytes) -> None:
    """Refuses a key that has two different values: readers would not agree on which of them counts."""
    try:
        json.loads(body, object_pairs_hook=unrepeated, parse_int=str)  # as text: a number may be too long for an int
    except (RecursionError, ValueError):
        raise BadRequest("the body is not valid JSON") from None


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen and seen[key] != value:
            raise BadRequest(f"{shown(key)} is given twice, with different values", param=shown(key))
        seen[key] = value
    return seen


def raise_malformed(body: bytes) -> NoReturn:
    if body.startswith(b"\xef\xbb\xbf"):
        raise BadRequest("the body begins with a byte order mark, which JSON does not have")
    if not body.strip():
        raise BadRequest('the body is empty; send a JSON object such as {"model": "...", ...}')
    try:
        json.loads(body, parse_int=str)
    except json.JSONDecodeError as exc:
        what = exc.msg.lower().removesuffix(" at")
        raise BadRequest(f"the body is not valid JSON: {what} at line {exc.lineno}, column {exc.colno}") from None
    except UnicodeDecodeError as exc:
        raise BadRequest(f"the body is not valid UTF-8 at byte {exc.start}") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    raise BadRequest("the body is not valid JSON: it holds NaN, Infinity, or half of a surrogate pair")


def mended(body: bytes) -> bytes | None:
    """The body with the raw line breaks and tabs in its strings escaped, as some examples of old have them; None if
    that is not what is wrong with it."""
    if not RAW.search(body):
        return None
    return STRINGS.sub(lambda string: RAW.sub(escaped, string[0]), body)


def escaped(control: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % control[0][0]


def raise_wrong(message: str, found: Fields, expected: dict[str, str]) -> NoReturn:
    """Says which field is wrong, what it must be, and what it is."""
    problem, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    param = re.split(r"[.\[]", path)[0]
    if not param:
        raise missing(problem)
    must = expected.get(path) or expected.get(param)
    value = found.get(param)
    if must is None or value is None or "unknown field" in problem:
        raise BadRequest(f"{path}: {problem[0].lower()}{problem[1:].replace('`', '')}", param=path)
    if param in PRIVATE or path != param:
        raise BadRequest(f"{path}: must be {must}", param=path)
    raise BadRequest(f"{path}: must be {must}, not {shown(bytes(value).decode(errors='replace'))}", param=param)


def missing(problem: str) -> BadRequest:
    """msgspec's sentence about a required field, in our words."""
    name = re.search(r"missing required field `(\w+)`", problem)
    return BadRequest(f"{name[1]} is missing", param=name[1]) if name else BadRequest(problem.replace("`", ""))


USER = 128
"""Characters of an end user's name; what is beyond is told apart by a digest."""


def user_name(user: str) -> str:
    """An end user's name as it is counted and kept."""
    if len(user) <= USER and user.isprintable():
        return user
    return f"{''.join(filter(str.isprintable, user[:USER]))}~{sha256(user.encode('utf-8', 'replace')).hexdigest()[:16]}"


def shown(value: str) -> str:
    """A caller's value, short enough to be repeated to them."""
    return value if len(value) <= SHOWN else value[:SHOWN] + "..."
