"""What is wrong with a configuration, and where: said so that whoever wrote it can repair it."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice

from msgspec import Struct

Path = tuple[str | int, ...]
"""Where a value stands: ``("models", "gpt", "targets", 1)`` is ``models.gpt.targets[1]``."""


class Problem(Struct, frozen=True):
    """One mistake. ``column`` is given for mistakes of YAML itself, which have no ``path``."""

    file: str
    line: int
    path: str
    message: str
    column: int | None = None

    def __str__(self) -> str:
        column = "" if self.column is None else f":{self.column}"
        path = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}{column}: {path}{self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. Holds every mistake, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path)
    return text.removeprefix(".")


def shown(text: str) -> str:
    """What was written, as far as a message should repeat it: short, and harmless on a terminal."""
    short = text if len(text) <= 64 else text[:64] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    # Comparing is slow: nobody mistypes a word this long, and a hint is not worth more than so many looks.
    found = get_close_matches(word, list(islice(known, 500)), n=1) if len(word) <= 64 else []
    return found[0] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """What would be right instead of ``word``, in brackets."""
    words = list(known)
    meant = nearest(word, words)
    if meant is not None:
        return f"(did you mean '{shown(meant)}'?)"
    few = ", ".join(map(shown, words[:12])) + (", ..." if len(words) > 12 else "")
    return f"(known: {few})" if words else "(none is configured)"
