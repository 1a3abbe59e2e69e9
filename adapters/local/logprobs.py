"""Tokens with their log probabilities, in the form that OpenAI's chat wire gives them.

https://platform.openai.com/docs/api-reference/chat/object. The completions route tells the same in another shape, which
is the dialect's to make.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

LEAST = -9999.0
"""Stands for minus infinity, as vLLM writes it: JSON has no word for it."""


class TokenLogprob(Struct):
    """A token as an engine tells it; ``text`` is TGI's name for it."""

    token: str = ""
    logprob: float | None = None
    bytes: tuple[int, ...] | None = None
    top_logprobs: "tuple[TokenLogprob, ...]" = ()

    def told(self, alternatives: int | None = None) -> dict[str, Any]:
        """With so many alternatives; None for one that is an alternative itself."""
        logprob = LEAST if self.logprob is None else max(self.logprob, LEAST)
        encoded = self.token.encode("utf-8", "replace") if self.bytes is None else self.bytes
        said = {"token": self.token, "logprob": logprob, "bytes": list(encoded)}
        if alternatives is not None:
            said["top_logprobs"] = [other.told() for other in self.top_logprobs[:alternatives]]
        return said


def as_field(tokens: "tuple[TokenLogprob, ...]", alternatives: int) -> Raw:
    """The field ``logprobs`` of a choice."""
    return Raw(msgspec.json.encode({"content": [token.told(alternatives) for token in tokens]}))
