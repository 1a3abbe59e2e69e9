"""Token counts where a provider does not report them: a bound from the text's size, marked as an estimate."""

from adapters.types import Call, Usage

BYTES_PER_TOKEN = 4
"""What common tokenizers make of English prose, about."""


def estimate(call: Call, output_chars: list[int]) -> Usage:
    """Usage as it may have been; never zero for a text that is not empty."""
    texts = [call.input] if isinstance(call.input, str) else [message.content for message in call.input]
    return Usage(
        sum(tokens(len(text.encode())) for text in texts),
        sum(tokens(n) for n in output_chars),
        estimated=True,
    )


def tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
