"""What operators see, as JSON has it: times as text, money in dollars; and back, for who asks a running gateway."""

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.adminapi.numbers import LIFTED, UNLIMITED, dollars, nano
from gateway.adminapi.times import iso, named
from gateway.control.types import UsageRow
from gateway.limits.types import Limits

S = TypeVar("S", bound=Struct)

TIMES = frozenset({"at", "created", "expires", "revoked", "grace"})
MONEY = {
    "usd_day": "usd_per_day",
    "usd_month": "usd_per_month",
    "soft_usd_day": "soft_usd_per_day",
    "soft_usd_month": "soft_usd_per_month",
    "cost_nano": "cost_usd",
    "in_flight_nano": "in_flight_usd",
}
"""The fields that hold nano-dollars, and their names where they are told in dollars."""

CHANGED = frozenset({"before", "after"})
"""What the log has of a change: the views of that time, as plain values."""

FROM_DOLLARS = {told: own for own, told in MONEY.items()}

OWN_NAMES = re.compile(rf"\b({'|'.join(MONEY)})\b")

COST = "cost_usd"
IN_FLIGHT = "in_flight_nano"

to_json = msgspec.json.Encoder().encode
exactly = msgspec.json.Decoder(float_hook=lambda text: Raw(text.encode())).decode
"""Numbers stay as they are written."""


def told(value: Struct) -> dict[str, Any]:
    """The object that JSON has for it; money is Raw."""
    if isinstance(value, UsageRow):
        return {**plain(value), COST: cost(value)}
    return plain(value)


def plain(value: Struct) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in value.__struct_fields__:
        own = getattr(value, name)
        if own is not msgspec.UNSET:
            found[MONEY.get(name, name)] = shown(name, own)
    return found


def shown(name: str, own: Any) -> Any:
    if isinstance(own, Limits):
        return limits_told(own)
    if name in CHANGED:
        return once(own)
    if isinstance(own, tuple):
        return [plain(item) if isinstance(item, Struct) else item for item in own]
    if isinstance(own, int) and not isinstance(own, bool):
        return iso(own) if name in TIMES else dollars(own) if name in MONEY else own
    return own


def limits_told(limits: Limits) -> dict[str, Any]:
    """Those that there are."""
    values = {name: getattr(limits, name) for name in limits.__struct_fields__}
    return {
        MONEY.get(name, name): LIFTED if value == UNLIMITED else shown(name, value)
        for name, value in values.items()
        if value is not None
    }


def once(value: Any) -> Any:
    """A view as it was, in the words of ``told``."""
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, own in value.items():
        if name in MONEY and (own is None or isinstance(own, int)):
            found[MONEY[name]] = own if own is None else LIFTED if own == UNLIMITED else dollars(own)
        elif name in TIMES and isinstance(own, int):
            found[name] = iso(own)
        else:
            found[name] = LIFTED if own == UNLIMITED and name in Limits.__struct_fields__ else once(own)
    return found


def worded(message: str) -> str:
    """What the Control says, with the names that are used here."""
    return OWN_NAMES.sub(lambda found: MONEY[found[0]], message)


def cost(row: UsageRow) -> Raw | None:
    """None where no request of the row has a known price: unknown is not zero."""
    unknown = row.unpriced > 0 and row.cost_nano == 0 and row.unpriced >= row.requests
    return None if unknown else dollars(row.cost_nano)


def retold(kind: type[S], found: dict[str, Raw]) -> S:
    """The value that ``told`` made this of. Raises msgspec.ValidationError, or ValueError, for anything else."""
    return msgspec.convert(values(found), kind)


def values(found: dict[str, Raw]) -> dict[str, Any]:
    return {
        FROM_DOLLARS.get(name, name): understood(FROM_DOLLARS.get(name, name), bytes(raw))
        for name, raw in found.items()
    }


def understood(own: str, raw: bytes) -> Any:
    if own == "limits":
        return values(msgspec.json.decode(raw, type=dict[str, Raw]))
    if own in Limits.__struct_fields__ and raw == b'"unlimited"':
        return UNLIMITED
    if own in MONEY:
        return nano(raw.decode()) if raw != b"null" else None if own == IN_FLIGHT else 0
    if own in CHANGED:
        return exactly(raw)
    value = msgspec.json.decode(raw)
    return named(value) if own in TIMES and isinstance(value, str) else value
