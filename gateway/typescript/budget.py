"""How much work a text may ask for, whatever it says."""

from gateway.typescript.lexer import Source

MAX_STEPS = 50_000
MAX_DEPTH = 96

CHARACTERS_PER_PART = 64
"""How much text counts as a part of the whole, so that a long one cannot be repeated without end."""


class Budget:
    """Steps are about as many as the parts of the schema that comes out, each with what it takes to find it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.steps = 0
        self._depth = 0

    def spend(self, steps: int, at: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise self._source.error(at, f"the types unfold to more than {MAX_STEPS} parts")

    def enter(self, at: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._source.error(at, f"the types refer to one another more than {MAX_DEPTH} levels deep")

    def visit(self, steps: int, at: int) -> None:
        """Enters, spends, and leaves."""
        if self._depth >= MAX_DEPTH:
            self.enter(at)
        self.steps += steps
        if self.steps > MAX_STEPS:
            self.spend(0, at)

    def leave(self) -> None:
        self._depth -= 1
