"""Token counts where a provider does not report them: a bound from the text's size, marked as an estimate."""

from adapters.types import Call, Chat, Prompts, Usage

BYTES_PER_TOKEN = 4
"""What common tokenizers make of English prose, about."""


def estimate(call: Call, output_chars: list[int]) -> Usage:
    """Usage as it may have been; never zero for a text that is not empty."""
    return Usage(read(call), sum(tokens(n) for n in output_chars), estimated=True)


def read(call: Call) -> int:
    """Tokens of the prompt, or of each of several."""
    asked = call.input
    if isinstance(asked, Chat):
        return tokens(len(bytes(asked.messages)))
    items = asked.items if isinstance(asked, Prompts) else (asked,)
    return sum(tokens(len(item.encode())) if isinstance(item, str) else len(item) for item in items)


def tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
