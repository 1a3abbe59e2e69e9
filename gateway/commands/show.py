"""Tables and lists for people. Colours only on a terminal, and nothing cut off where there is none."""

import sys
from collections.abc import Iterable
from typing import Any

import click

from gateway.adminapi.numbers import LIFTED, UNLIMITED, dollar_text
from gateway.adminapi.times import iso
from gateway.adminapi.told import MONEY
from gateway.commands.session import visible
from gateway.limits.types import Limits

WIDE = 10_000
"""Columns of what is no terminal."""

STATES = {"active": "green", "disabled": "yellow", "expired": "yellow", "revoked": "red"}

UNITS = {"rpm": "requests/min", "tpm": "tokens/min", "tpd": "tokens/day", "concurrent": "concurrent"}
BUDGETS = {"usd_day": "/day", "usd_month": "/month", "soft_usd_day": "/day (warn)", "soft_usd_month": "/month (warn)"}

SECRET = "This is the only time that the key is shown. Keep it where only its user can read it."


def table(columns: Iterable[str], rows: list[list[str]], numbers: frozenset[str] = frozenset()) -> None:
    """Aligned; the columns that hold ``numbers`` to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(
            name.replace("_", " "),
            justify="right" if name in numbers else "left",
            no_wrap=not sys.stdout.isatty(),
            overflow="fold",
        )
    for row in rows:
        made.add_row(*[Text(visible(cell), style=STATES.get(cell, "")) for cell in row])
    console.print(made)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """A name and a value on each line; values that are empty are left out."""
    said = [(name, value) for name, value in pairs if value]
    width = max([len(name) for name, _ in said], default=0) + 2
    for name, value in said:
        click.echo(f"{name + ':':<{width}}{styled(value)}")


def styled(value: str) -> str:
    """click takes the colours out again where there is no terminal."""
    return click.style(value, fg=STATES[value]) if value in STATES else visible(value)


def none(what: str) -> None:
    click.echo(f"no {what}")


def at(moment: int | None) -> str:
    return "" if moment is None else iso(moment)


def models(allowed: tuple[str, ...] | None) -> str:
    return "all" if allowed is None else ", ".join(allowed) or "none"


def pairs(metadata: dict[str, str]) -> str:
    return ", ".join([f"{name}={value}" for name, value in metadata.items()])


def limits(own: Limits) -> str:
    """100 requests/min, $12.5/month."""
    values: dict[str, Any] = {name: getattr(own, name) for name in own.__struct_fields__}
    counts = [f"{values[name]} {unit}" for name, unit in UNITS.items() if some(values[name])]
    money = [f"${dollar_text(values[name])}{unit}" for name, unit in BUDGETS.items() if some(values[name])]
    lifted = [f"{LIFTED} {MONEY.get(name, name)}" for name, value in values.items() if value == UNLIMITED]
    return ", ".join(counts + money + lifted)


def some(value: int | None) -> bool:
    return value is not None and value != UNLIMITED
