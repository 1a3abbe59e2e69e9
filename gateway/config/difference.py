"""What has changed between two configurations, line by line: for whoever reads the log. Pure.

Values are shown only where they are numbers, switches and names: addresses, headers and what is sent with them are said
to have changed, and no more.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.config.model import Config, ProviderConfig
from gateway.config.problems import Path, dotted, shown

HIDDEN = frozenset({"auth", "base_url", "ca_file", "description", "headers", "issuer", "jwks", "query"})
"""Fields that are not shown: addresses do not belong into a log, and what is sent with them even less."""

RESTART = ("ledger", "jwt")
"""Sections that hold from a start to the next."""


def difference(old: Config, new: Config) -> list[str]:
    """``models.demo.targets[0].weight: 1 -> 3``, in the order of the file; empty where nothing has changed."""
    return list(compared(old, new, ()))


def for_a_restart(old: Config, new: Config) -> list[str]:
    """Of what has changed since the start, when ``old`` was read, what has no effect before the next."""
    found = [f"{name}: holds from the next start" for name in RESTART if getattr(old, name) != getattr(new, name)]
    for kind, needed in (("the embedded model", embedded), ("litellm", through_litellm)):
        before = any(map(needed, old.providers.values()))
        if not before:
            found += [
                f"providers.{shown(name)}: {kind} runs from the next start"
                for name, provider in new.providers.items()
                if needed(provider)
            ]
    return found


def embedded(provider: ProviderConfig) -> bool:
    return provider.embedded


def through_litellm(provider: ProviderConfig) -> bool:
    return provider.adapter == "litellm"


def compared(old: Any, new: Any, path: Path) -> Iterator[str]:
    if old == new:
        return
    if path and path[-1] in HIDDEN:
        yield f"{dotted(path)}: changed"
    elif isinstance(old, Struct) and isinstance(new, Struct) and type(old) is type(new):
        for name in old.__struct_fields__:
            yield from compared(getattr(old, name), getattr(new, name), (*path, name))
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from entries(old, new, path)
    elif isinstance(old, tuple) and isinstance(new, tuple) and any(isinstance(one, Struct) for one in (*old, *new)):
        yield from items(old, new, path)
    else:
        yield f"{dotted(path)}: {said(old)} -> {said(new)}"


def entries(old: Mapping[str, Any], new: Mapping[str, Any], path: Path) -> Iterator[str]:
    for name in (*old, *(name for name in new if name not in old)):
        at = (*path, name)
        if name not in new:
            yield f"{dotted(at)}: removed"
        elif name not in old:
            value = new[name]
            yield f"{dotted(at)}: added" if isinstance(value, Struct) else f"{dotted(at)}: added, {said(value)}"
        else:
            yield from compared(old[name], new[name], at)


def items(old: tuple[Any, ...], new: tuple[Any, ...], path: Path) -> Iterator[str]:
    for place in range(max(len(old), len(new))):
        at = (*path, place)
        if place >= len(new):
            yield f"{dotted(at)}: removed"
        elif place >= len(old):
            yield f"{dotted(at)}: added"
        else:
            yield from compared(old[place], new[place], at)


def said(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Struct):
        return "set"
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(said, value))}]"
    return msgspec.json.encode(value).decode()
