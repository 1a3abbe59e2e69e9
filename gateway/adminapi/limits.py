"""Limits as operators set them, in dollars, and as the Control takes them, in nano-dollars."""

from typing import Any

import msgspec

from gateway.adminapi.given import Readers, budget, inner, limit, one_of
from gateway.adminapi.numbers import dollars
from gateway.adminapi.told import FROM_DOLLARS, MONEY
from gateway.control.amounts import MOST
from gateway.control.types import LimitsChanges
from gateway.errors import BadRequest

COUNTS: Readers = {name: limit(MOST[name]) for name in ("rpm", "tpm", "tpd", "concurrent")}
BUDGETS: Readers = dict.fromkeys(("usd_per_day", "usd_per_month", "soft_usd_per_day", "soft_usd_per_month"), budget)
SHORT: Readers = {"budget_usd": budget, "soft_budget_usd": budget, "period": one_of("day", "month")}
"""How most people think of a budget: an amount, and for how long."""

ONLY: Readers = {**COUNTS, **BUDGETS, **SHORT}
"""The fields of a body that is about limits alone."""

BESIDE: Readers = {**COUNTS, **SHORT, "limits": inner("limits", {**COUNTS, **BUDGETS})}
"""Those of a body that is about a team or a key."""


def changes(found: dict[str, Any]) -> LimitsChanges | None:
    """Takes the fields of limits out of what was read; None where there are none. Raises BadRequest."""
    taken = {name: found.pop(name) for name in list(found) if name in ONLY or name == "limits"}
    own = spread(taken)
    for name, value in (taken.get("limits") or {}).items():
        put(own, name, value)
    return LimitsChanges(**{FROM_DOLLARS.get(name, name): value for name, value in own.items()}) if own else None


def spread(taken: dict[str, Any]) -> dict[str, Any]:
    """Without ``budget_usd`` and its kin."""
    period = taken.get("period")
    if period is not None and not {"budget_usd", "soft_budget_usd"} & taken.keys():
        raise BadRequest("period says for how long a budget is; give budget_usd or soft_budget_usd", param="period")
    own = {name: value for name, value in taken.items() if name not in SHORT and name != "limits"}
    for name, prefix in (("budget_usd", ""), ("soft_budget_usd", "soft_")):
        if name in taken:
            put(own, f"{prefix}usd_per_{period or 'month'}", taken[name])
    return own


def put(own: dict[str, Any], name: str, value: Any) -> None:
    if name in own:
        raise BadRequest(f"{name} is given in two ways; give it once", param=name)
    own[name] = value


def body_of(limits: LimitsChanges) -> dict[str, Any]:
    """The fields that ``changes`` makes these of."""
    set_ = [(name, value) for name, value in msgspec.structs.asdict(limits).items() if value is not msgspec.UNSET]
    return {MONEY.get(name, name): in_dollars(name, value) for name, value in set_}


def in_dollars(name: str, value: int | str | None) -> Any:
    return dollars(value) if name in MONEY and isinstance(value, int) else value
