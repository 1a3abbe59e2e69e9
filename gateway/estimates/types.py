"""What estimates are about."""

from typing import Protocol

from msgspec import Struct

from gateway.estimates.size import Size


class Guess(Struct, frozen=True, gc=False):
    """What one request to a provider may come to, as it is known before. ``input``: what its prompts cost at most, by
    all that reports have taught. ``most``: what they cost whatever is in them, which is more where only bytes are
    known: who may write any text may write one that is worse than all before.

    The rest is for those who made it: ``choices`` are made, of at most ``limit`` tokens each; ``counted`` tokens are in
    the text of ``messages`` (0 for bare text), None where no tokenizer has counted.
    """

    input: int
    most: int
    size: Size
    choices: int = 1
    limit: int | None = None
    counted: int | None = None
    messages: int = 0


class Tokenizer(Protocol):
    """A model's own division of text into tokens."""

    begin: int
    """How many tokens stand before every text."""

    most: int
    """Bytes of text that are counted in a millisecond or two; longer ones are to be judged otherwise."""

    def count(self, text: str) -> int:
        """Tokens of a text, without those before it."""


class TokenizerError(Exception):
    """A tokenizer cannot be had. The message says which, why, and what helps."""
