"""What one installation says, beside ``routing.yaml``: variables of the environment, and of ``.env`` in the working
directory. The process's own environment wins."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from msgspec import Struct, field

PREFIX = "GATEWAY_"
MIN_KEY = 32
SECRET = frozenset({"redis_url", "database_url", "admin_key", "bootstrap_key", "environ"})


class SettingsError(Exception):
    """The environment cannot be used. Every line names a variable, what is wrong, and what would be right; never
    what it holds."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Settings(Struct, frozen=True, kw_only=True):
    """``environ`` is the merged environment: providers' keys are read from it, by the names that ``routing.yaml``
    gives. ``litellm_python`` is the Python that runs litellm. ``drain_seconds`` is how long calls that are under way
    may go on when the gateway is told to stop; 0 breaks them off at once. ``warnings`` are variables that look like
    settings and are none."""

    config: str = "routing.yaml"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    state_dir: str = "var/"
    redis_url: str | None = None
    database_url: str | None = None
    admin_key: str | None = None
    bootstrap_key: str | None = None
    litellm_python: str = sys.executable
    drain_seconds: int = 30
    environ: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def load(cls, overrides: Mapping[str, object] | None = None) -> "Settings":
        """The settings of this process. ``overrides``, by field, are written to the environment first, so that the
        processes which it starts have the same settings. Raises SettingsError."""
        for name, value in (overrides or {}).items():
            os.environ[variable(name)] = str(value)
        return read({**dotenv(Path(".env")), **os.environ})

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What may be shown: rich, which renders tracebacks with their values, asks for this."""
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in SECRET]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def read(environ: Mapping[str, str]) -> Settings:
    """The settings that an environment says. A variable that is empty counts as unset, as Compose sends them."""
    given = {name: environ.get(variable(name), "") for name in READERS}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, text in given.items():
        try:
            if text:
                values[name] = READERS[name](text)
        except ValueError as exc:
            problems.append(f"{variable(name)}: {exc}")
    if problems:
        raise SettingsError(problems)
    return Settings(**values, environ=environ, warnings=tuple(unknown(environ)))


def dotenv(path: Path) -> dict[str, str]:
    """The file's variables; none if there is no file. It is read as text: nothing in it is executed."""
    try:
        if not path.is_file():
            return {}
        content = path.read_text("utf-8")
        lines = [binding.original.line for binding in parse_stream(StringIO(content)) if binding.error]
        if lines:
            raise SettingsError([f"{path}:{line}: is not NAME=value" for line in lines])
        found = dotenv_values(stream=StringIO(content))
    except UnicodeDecodeError as exc:
        raise SettingsError([f"{path}: is not UTF-8 text (save the file as UTF-8)"]) from exc
    except OSError as exc:
        raise SettingsError([f"{path}: cannot be read: {exc.strerror}"]) from exc
    return {name: value for name, value in found.items() if value is not None}


def variable(name: str) -> str:
    return PREFIX + name.upper()


def unknown(environ: Mapping[str, str]) -> list[str]:
    known = [variable(name) for name in READERS]
    strangers = sorted(name for name in environ if name.startswith(PREFIX) and name not in (*known, *OTHERS))
    return [f"{name} is not a setting{meant(name, known)}" for name in strangers]


def meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


OTHERS = frozenset({"GATEWAY_KEY", "GATEWAY_EMBEDDED_SOCKET", "GATEWAY_LONGTAIL_SOCKET", "GATEWAY_CENSUS"})
"""Variables of this prefix that are no settings: a caller's key in examples, and what we tell our own workers."""


# ------------------------------------------------------------------ one reader for each kind of value
# Each returns the value, or raises ValueError with what is wrong and what would be right.


def text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return value


def address(value: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z._:-]+", value):
        raise ValueError("must be an address to listen on, like 0.0.0.0 (without http://, brackets or port)")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    def number(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value.strip()) or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return number


def url(*schemes: str) -> Callable[[str], str]:
    example = f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"

    def checked(value: str) -> str:
        try:
            scheme = urlsplit(text(value)).scheme
        except ValueError:
            scheme = ""
        if scheme.partition("+")[0] not in schemes or "://" not in value:
            raise ValueError(example)
        return value

    return checked


def key(value: str) -> str:
    if len(value) < MIN_KEY:
        raise ValueError(f"is too short: at least {MIN_KEY} characters are needed (try: openssl rand -hex 32)")
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("may hold only printable ASCII characters, and no spaces (try: openssl rand -hex 32)")
    return value


READERS: dict[str, Callable[[str], Any]] = {
    "config": text,
    "host": address,
    "port": whole(1, 65535),
    "workers": whole(1, 1024),
    "state_dir": text,
    "redis_url": url("redis", "rediss", "unix"),
    "database_url": url("sqlite", "postgresql"),
    "admin_key": key,
    "bootstrap_key": key,
    "litellm_python": text,
    "drain_seconds": whole(0, 86_400),
}
"""Each setting, by the name of its field: ``GATEWAY_`` and the name in capitals is its variable."""
