"""Options that several commands have, and what their texts mean."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import UNSET

from gateway.commands.failed import Failed
from gateway.control.types import LimitsChanges

F = TypeVar("F", bound=Callable[..., Any])

ALL = "all"
"""In place of an allow-list: every model."""

NEVER = "never"
"""In place of an expiry."""

COUNTS = ("rpm", "tpm", "tpd", "concurrent")
MONEY = ("budget_usd", "soft_budget_usd")

LIMITS = (
    click.option("--rpm", metavar="N", help="Requests in any minute."),
    click.option("--tpm", metavar="N", help="Tokens in any minute."),
    click.option("--tpd", metavar="N", help="Tokens a day."),
    click.option("--concurrent", metavar="N", help="Requests at the same time."),
    click.option("--budget-usd", metavar="X", help="Dollars in each --period, and no more."),
    click.option("--soft-budget-usd", metavar="X", help="Dollars in each --period that are warned of."),
    click.option("--period", type=click.Choice(["day", "month"]), help="Of the budgets [month]."),
)

ABOUT = (
    click.option("--models", metavar="A,B/*", help="The models that may be asked; * stands for anything [all]."),
    click.option("--tag", "tags", multiple=True, metavar="T", help="A tag; can be given several times."),
    click.option("--meta", multiple=True, metavar="K=V", help="A note about it; can be given several times."),
)

REPLACED = (
    click.option("--models", metavar="A,B/*", help="The models that may be asked; * stands for anything, all for all."),
    click.option("--tag", "tags", multiple=True, metavar="T", help="Its tags, in place of those it has; '' for none."),
    click.option("--meta", multiple=True, metavar="K=V", help="Its notes, in place of those it has; '' for none."),
)


def limited(function: F) -> F:
    return added(function, LIMITS)


def described(function: F) -> F:
    return added(function, ABOUT)


def redescribed(function: F) -> F:
    """The words of ``described``, for what is there already."""
    return added(function, REPLACED)


def added(function: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def limits_of(given: dict[str, str | None]) -> LimitsChanges | None:
    """The limits among a command's options, which are taken out of them; None where there are none. Raises Failed, or
    BadRequest."""
    from gateway.adminapi.limits import changes

    texts = {name: given.pop(name) for name in (*COUNTS, *MONEY, "period")}
    found = {name: text if name == "period" else most(name, text) for name, text in texts.items() if text is not None}
    return changes(found)


def most(name: str, text: str) -> int | str | None:
    """A number, ``unlimited``, or ``none`` to take an override back."""
    from gateway.adminapi.numbers import BUDGET, WHOLE, amount, nano
    from gateway.control.amounts import MOST

    if text in ("unlimited", "none"):
        return None if text == "none" else text
    try:
        if name in MONEY:
            return some(nano(text.removeprefix("$"), BUDGET))
        if not text.isascii() or not text.isdigit():
            raise ValueError(f"must be {WHOLE}, or unlimited, or none")
        return some(amount(int(text[:40]), MOST[name]))
    except ValueError as error:
        raise Failed(f"--{name.replace('_', '-')} {error}, not {text[:40]}", "invalid", name) from None


def some(value: int) -> int:
    if value == 0:
        raise ValueError("must be above 0 (to refuse everything, disable the key or team)")
    return value


def about(models: str | None, tags: tuple[str, ...], meta: tuple[str, ...]) -> dict[str, Any]:
    """Raises Failed."""
    return {"models": allowed(models), "tags": tags, "metadata": notes(meta)}


def changed(models: str | None, tags: tuple[str, ...], meta: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """As ``about``, of those options that were given; ``more`` are further fields, UNSET where they were not. An empty
    text in place of tags or notes takes all of them away. Raises Failed."""
    found = {
        "models": UNSET if models is None else allowed(models),
        "tags": tuple(filter(None, tags)) if tags else UNSET,
        "metadata": notes(tuple(filter(None, meta))) if meta else UNSET,
        **more,
    }
    given = {name: value for name, value in found.items() if value is not UNSET}
    if not given:
        own = "".join([f"--{name}, " for name in more])
        raise Failed(f"nothing to change: give {own}--models, --tag or --meta; limits are set by `gateway limits set`")
    return given


def allowed(models: str | None) -> tuple[str, ...] | None:
    if models is None or models.strip() == ALL:
        return None
    return tuple([name.strip() for name in models.split(",") if name.strip()])


def notes(meta: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in meta:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Failed(f"--meta must be NAME=VALUE, not {text[:40]}", "invalid", "meta")
        if name in found:
            raise Failed(f"--meta gives {name[:40]} twice", "invalid", "meta")
        found[name] = value
    return found


def until(option: str, text: str | None) -> Any:
    """As ``later``, where ``never`` takes an expiry away; UNSET where nothing was said."""
    return UNSET if text is None else later(option, text)


def now() -> int:
    return int(time.time())  # noqa: TID251 - the command line is outside the service: it reads the clock itself


def later(option: str, text: str | None) -> int | None:
    from gateway.adminapi import times

    return None if text in (None, NEVER) else timed(option, lambda: times.later(text, now()), text)


def earlier(option: str, text: str | None) -> int | None:
    from gateway.adminapi import times

    return None if text is None else timed(option, lambda: times.earlier(text, now()), text)


def duration(option: str, text: str) -> int:
    from gateway.adminapi import times

    return timed(option, lambda: times.duration(text), text)


def timed(option: str, read: Callable[[], int], text: str) -> int:
    try:
        return read()
    except ValueError as error:
        raise Failed(f"--{option} {error}, not {text[:40]}", "invalid", option) from None
