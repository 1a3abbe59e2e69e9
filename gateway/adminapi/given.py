"""What operators send: objects of known fields, each read by itself, so that a mistake names its place.

A reader takes the field's JSON, unread, and returns the value or raises ValueError with what it must be. What a value
may be beyond its form is for the Control to decide.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.adminapi.numbers import BUDGET, DOLLARS, WHOLE, amount, nano
from gateway.errors import BadRequest
from gateway.wire.body import fields, shown

Reader = Callable[[bytes], Any]
Readers = dict[str, Reader]

DEPTH = 8
"""How deep a body may be nested; nothing that is taken here needs more than three levels."""


def read_object(data: bytes, readers: Readers, required: tuple[str, ...] = (), place: str = "") -> dict[str, Any]:
    """The fields that are there, read. An empty body is an object without fields. Raises BadRequest."""
    found = fields(data, DEPTH, "") if data.strip() else {}
    for name in found:
        if name not in readers:
            known = ", ".join(readers) or "none"
            raise BadRequest(f"{place}{shown(name)} is not a field here; known: {known}", param=place + shown(name))
    for name in required:
        if name not in found:
            raise BadRequest(f"{place}{name} is missing", param=place + name)
    return {name: read_field(place + name, readers[name], bytes(raw)) for name, raw in found.items()}


def read_field(path: str, reader: Reader, raw: bytes) -> Any:
    try:
        return reader(raw)
    except ValueError as error:
        value = shown(raw.decode(errors="replace"))
        raise BadRequest(f"{path}: {error}, not {value}", param=path) from None


def inner(place: str, readers: Readers) -> Reader:
    """A reader of an object within."""

    def read(raw: bytes) -> dict[str, Any]:
        if not raw.startswith(b"{"):
            raise ValueError("must be an object")
        return read_object(raw, readers, (), f"{place}.")

    return read


def or_null(reader: Reader) -> Reader:
    def read(raw: bytes) -> Any:
        return None if raw == b"null" else reader(raw)

    return read


def text(raw: bytes) -> str:
    value = msgspec.json.decode(raw)
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def flag(raw: bytes) -> bool:
    value = msgspec.json.decode(raw)
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def texts(raw: bytes) -> tuple[str, ...]:
    value = msgspec.json.decode(raw)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


def metadata(raw: bytes) -> dict[str, str]:
    if not raw.startswith(b"{"):
        raise ValueError("must be an object of texts")
    return {
        name: read_field(f"metadata.{shown(name)}", text, bytes(value)) for name, value in fields(raw, DEPTH).items()
    }


def one_of(*allowed: str) -> Reader:
    def read(raw: bytes) -> str:
        value = msgspec.json.decode(raw)
        if value not in allowed:
            raise ValueError(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return str(value)

    return read


def limit(most: int) -> Reader:
    """A reader of a whole number of at most that much, ``unlimited``, or null."""

    def read(raw: bytes) -> int | str | None:
        if not raw.isdigit() and raw not in (b"null", b'"unlimited"'):
            raise ValueError(f'must be {WHOLE}, "unlimited", or null')
        if len(raw) > 19:
            return amount(10**19, most)
        value = msgspec.json.decode(raw)
        return amount(value, most) if isinstance(value, int) else value

    return read


def budget(raw: bytes) -> int | str | None:
    """Dollars, as a number or as text, in nano-dollars; ``unlimited``, or null."""
    said = raw.decode()
    if said in ("null", '"unlimited"'):
        return None if said == "null" else "unlimited"
    if said.startswith('"'):
        said = msgspec.json.decode(raw)
    elif said[0] not in "-0123456789":
        raise ValueError(f'must be {DOLLARS}, "unlimited", or null')
    return nano(said, BUDGET)


def moment(reader: Callable[[str, int], int], now: Callable[[], float]) -> Reader:
    """A time, which may be said as a distance from now."""

    def read(raw: bytes) -> int:
        value = msgspec.json.decode(raw)
        if not isinstance(value, str):
            raise ValueError("must be a text such as 90d, 2027-01-31 or 2027-01-31T12:00:00Z")
        return reader(value, int(now()))

    return read
