"""Definitions by names of their own, which need no quoting where they are referred to."""

from typing import Any


class Names:
    """``waiting`` are those that have a name, and are still to be written."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, Any]] = []
        self._names: dict[int, str] = {}  # by the identity of what they name, which stays alive
        self._taken: set[str] = set()

    def reference(self, target: Any, written: str) -> str:
        """A reference to the target of one that is ``written`` so."""
        if id(target) not in self._names:
            name = self._free(plain(written.rpartition("/")[2].lstrip("#")) or "root")
            self._names[id(target)] = name
            self.waiting.append((name, target))
        return f"#/$defs/{self._names[id(target)]}"

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def plain(text: str) -> str:
    return "".join([char if char.isascii() and (char.isalnum() or char in "_.-") else "_" for char in text])
