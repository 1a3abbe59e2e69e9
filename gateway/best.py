"""The likeliest of several choices, for engines that do not choose themselves. Pure.

OpenAI's and vLLM's ``best_of`` rank by the mean log probability of a choice's tokens.
"""

import msgspec
from msgspec import Struct

from adapters.errors import UNREADABLE, Garbled, Invalid
from adapters.types import Choice, Reply


class Token(Struct):
    logprob: float | None = None


class Logprobs(Struct):
    """Either shape: a chat's ``content``, or the parallel lists of completions."""

    content: tuple[Token, ...] | None = None
    token_logprobs: tuple[float | None, ...] | None = None


decode_logprobs = msgspec.json.Decoder(Logprobs).decode


def likeliest(reply: Reply, best_of: int, n: int, prompts: int) -> Reply:
    """Of each ``best_of`` choices the ``n`` likeliest, best first. The usage is that of all, for all were made. Raises
    Invalid where so many broke their constraint, and are missing, that fewer than ``n`` are left."""
    chosen: list[Choice] = []
    for prompt in range(prompts):
        made = [choice for choice in reply.choices if choice.index // best_of == prompt]
        if len(made) < n:
            raise Invalid(f"of {best_of} answers (best_of), only {len(made)} keep the constraint, and {n} are wanted")
        ranked = sorted(made, key=mean_logprob, reverse=True)[:n]
        chosen += [Choice(len(chosen) + i, c.text, c.finish, None, c.raw) for i, c in enumerate(ranked)]
    return Reply(tuple(chosen), reply.usage, reply.raw)


def mean_logprob(choice: Choice) -> float:
    """Raises Garbled if the provider did not tell what it was asked for."""
    try:
        told = decode_logprobs((choice.raw or {})["logprobs"])
    except (KeyError, *UNREADABLE) as exc:
        raise Garbled("the provider's answer lacks the log probabilities that it was asked for", status=200) from exc
    tokens = told.token_logprobs if told.content is None else [token.logprob for token in told.content]
    known = [value for value in tokens or () if value is not None]
    return sum(known) / len(known) if known else 0.0
