"""What limits may be."""

import msgspec
from msgspec import UNSET

from gateway.control.names import invalid, is_whole, shown
from gateway.control.types import LimitsChanges, Most
from gateway.limits.types import NANO, Limits

UNLIMITED = -1
"""Stands in the record for ``unlimited``."""

MOST_COUNT = 10**12
MOST_PLACES = 10**6
MOST_MONEY = 10**9 * NANO

MOST: dict[str, int] = {
    "rpm": MOST_COUNT,
    "tpm": MOST_COUNT,
    "tpd": MOST_COUNT,
    "concurrent": MOST_PLACES,
    "usd_day": MOST_MONEY,
    "usd_month": MOST_MONEY,
    "soft_usd_day": MOST_MONEY,
    "soft_usd_month": MOST_MONEY,
}


def changed(own: Limits, changes: LimitsChanges | None) -> Limits:
    """A subject's limits after the changes. Raises ControlError that names the field."""
    if changes is None:
        return own
    given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
    found = msgspec.structs.replace(own, **{name: amount(name, value) for name, value in given.items()})
    for period in ("day", "month"):
        hard, soft = getattr(found, f"usd_{period}"), getattr(found, f"soft_usd_{period}")
        if hard is not None and soft is not None and soft > hard and hard != UNLIMITED:
            field = f"soft_usd_{period}"
            raise invalid(f"{field} must not be above usd_{period}: nobody would be warned", field)
    return found


def amount(name: str, given: Most) -> int | None:
    if given is None:
        return None
    if given == "unlimited":
        return UNLIMITED
    what = "nano-dollars" if "usd" in name else "a whole number"
    if not is_whole(given) or not isinstance(given, int):
        raise invalid(f"{name} must be {what}, 'unlimited' or null, not {shown(given)}", name)
    if given < 1:
        raise invalid(
            f"{name} must be above 0, not {shown(given)}; to refuse everything, disable the key or team", name
        )
    if given > MOST[name]:
        raise invalid(f"{name} must be at most {MOST[name]}{' nano-dollars' if 'usd' in name else ''}", name)
    return given
