"""The words of a conversation, for a tokenizer to count."""

from collections.abc import Iterator
from typing import Any

import msgspec

from adapters.types import Chat

MARKS = ("role", "type")
"""Members of a message that its template says in a token of its own."""

decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


def words_of(chat: Chat) -> tuple[str, int] | None:
    """All texts of the messages in one, and how many messages; None if it cannot be read."""
    try:
        messages = decode(chat.messages)
    except msgspec.MsgspecError:
        return None
    return "\n".join([text for message in messages for text in strings(message)]), len(messages)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            if name not in MARKS:
                yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)
