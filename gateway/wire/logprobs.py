"""Log probabilities in the shape of completions: four parallel lists, whatever the shape in which they came.

https://platform.openai.com/docs/api-reference/completions/object against .../chat/object (``logprobs.content``).
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.errors import UNREADABLE
from adapters.local.logprobs import LEAST


class Top(Struct):
    token: str = ""
    logprob: float | None = None


class Token(Struct):
    token: str = ""
    logprob: float | None = None
    top_logprobs: tuple[Top, ...] | None = None


class ChatLogprobs(Struct):
    content: tuple[Token, ...] | None = None


decode_chat = msgspec.json.Decoder(ChatLogprobs).decode


def legacy(raw: Raw | None, offset: int, alternatives: bool) -> tuple[Any, int]:
    """The lists, and where the next piece's text begins. ``offset`` is where this one's does, in characters.

    What is in that shape already, or in none that is known, comes back as it is.
    """
    if raw is None or b'"content"' not in bytes(raw):
        return raw, offset
    told = content_of(raw)
    if told is None:
        return raw, offset
    offsets: list[int] = []
    for token in told:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in told],
        "token_logprobs": [finite(token.logprob) for token in told],
        "top_logprobs": [tops(token) for token in told] if alternatives else None,
        "text_offset": offsets,
    }, offset


def content_of(raw: Raw) -> tuple[Token, ...] | None:
    """The tokens, if they are told in the shape of chats."""
    try:
        return decode_chat(raw).content
    except UNREADABLE:
        return None


def tops(token: Token) -> dict[str, float | None]:
    """The alternatives by their texts; the token itself is among them, as vLLM and OpenAI have it."""
    found = {top.token: finite(top.logprob) for top in token.top_logprobs or ()}
    found.setdefault(token.token, finite(token.logprob))
    return found


def finite(value: float | None) -> float | None:
    return None if value is None else max(value, LEAST)
