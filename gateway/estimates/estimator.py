"""How many tokens a request may come to, and how many it likely will: one estimator for each model or target.

With a tokenizer texts are counted. Without one, and where a text is too long to be counted while others wait, it is
judged by its bytes: first as if each were a token, then as the provider's own reports teach (``calibration``).
"""

import math

from msgspec import Struct

from adapters.types import Call, Chat, Params
from gateway.estimates.calibration import FADE, MEMORY, Calibration, Constant
from gateway.estimates.size import WITH_TOOLS, Size, size_of
from gateway.estimates.texts import words_of
from gateway.estimates.types import Guess, Tokenizer

TEMPLATE = 32
"""Tokens that a chat may cost beyond its messages: begin of text, the answer's head, a template's own instructions
(Llama 3.1's, with the date, are 25)."""

MESSAGE = 8
"""Tokens that a template puts around a message; 3 to 5 are usual."""

HIDDEN_TOOLS = 512
"""Tokens of the instructions that a provider adds where tools are given: 159 to 530 at Claude, by model and choice."""

BEGIN = 2
"""Tokens that a bare text may begin with."""

USUAL = 1 / 4
"""Tokens of a byte of a prompt, and of a character of an answer, as long as nothing better is known: English prose."""

USUAL_ANSWER = 256
"""Tokens of an answer, as long as nothing is known."""

TOLD_APART = 16
"""Up to how many choices the outputs of calls are told apart by their number."""

ALL_OF, ONE_OF = 64, 32
"""How many reports are learned each, and of how many one after them: it costs as much as all else that is estimated."""

AGREED = 3
"""Streams one after the other in which each piece was a token, after which a piece is taken for one."""


class Mean(Struct):
    """Of the latest reports, about."""

    value: float = 0.0
    reports: int = 0

    def learn(self, value: float) -> None:
        self.reports += 1
        self.value += (value - self.value) / min(self.reports, MEMORY)


class Estimator:
    """One model's. ``template``: what it is asked goes through a chat template, also a bare text."""

    def __init__(self, tokenizer: Tokenizer | None = None, *, template: bool = True) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._kinds: dict[int, Calibration] = {}
        self._constant = Constant()
        self._around = Calibration()  # what a template adds to counted text, by the number of messages
        self._beyond = 1.0  # what a token that was counted here is at the provider, at most
        self._outputs: dict[int, Mean] = {}
        self._choice = Mean()
        self._char = Mean()
        self._token_pieces = 0
        self._overruns = 0
        self._asked = 0

    @property
    def wants(self) -> bool:
        """Whether the next report is to be learned: all of the first ones, then one of some."""
        self._asked += 1
        return self._asked <= ALL_OF or not self._asked % ONE_OF

    def before(self, call: Call) -> Guess:
        """What one request may come to. Where a call takes several, each is to be estimated."""
        size, params = size_of(call), call.params
        choices = (params.n if params.best_of is None else max(params.n, params.best_of)) * size.prompts
        if self._constant.value is not None:
            return Guess(self._constant.value, self._constant.value, size, choices, params.max_tokens)
        if self._tokenizer is not None and size.plain and size.bytes <= self._tokenizer.most:
            counted, messages = self._count(self._tokenizer, call)
            if counted is not None:
                around = self._around.bound(messages, frame(messages)) if messages else 0
                read = math.ceil(counted * self._beyond) + around + size.ids
                return Guess(read, read, size, choices, params.max_tokens, counted, messages)
        cold = self._cold(size)
        kind = self._kinds.get(size.kind)
        top, most = (cold, cold) if kind is None else (kind.bound(size.extent, cold), kind.beyond(cold))
        return Guess(top + size.ids, most + size.ids, size, choices, params.max_tokens)

    def likely(self, guess: Guess) -> tuple[int, int]:
        """Tokens of prompt and answer that the request comes to as a rule: for one that nobody can tell of any more."""
        size = guess.size
        kind = self._kinds.get(size.kind)
        mean = None if kind is None else kind.mean(size.extent)
        if self._constant.value is not None:
            return self._constant.value, self._likely_output(guess)
        if guess.counted is not None:
            around = (self._around.mean(guess.messages) or 0) if guess.messages else 0
            mean = guess.counted + around
        elif mean is None:
            mean = size.bytes * USUAL + size.media
        return min(round(mean) + size.ids, guess.input), self._likely_output(guess)

    def learn(self, guess: Guess, input: int, output: int, *, chars: int = 0, pieces: int = 0) -> None:
        """A provider has reported what a request came to. ``chars`` are those of all its answers, ``pieces`` in how
        many pieces they were streamed; 0 where that is not known, and where the answers held more than text."""
        size = guess.size
        self._constant.learn(size.extent + size.ids, input)
        read = max(input - size.ids, 0)
        kind = self._kinds.get(size.kind)
        if kind is None:
            kind = self._kinds[size.kind] = Calibration()
        kind.learn(size.extent, read, self._cold(size))
        if guess.counted is not None:
            self._learn_counted(guess.counted, guess.messages, read)
        self._learn_output(guess, output)
        if chars and output:
            self._char.learn(output / chars)
        if pieces:
            self._token_pieces = self._token_pieces + 1 if pieces == output else 0

    def streamed(self, chars: int, pieces: int, text: str | None = None) -> int:
        """Tokens of answers that broke off before the provider told them: so many characters in so many pieces, each of
        which is at least a token; counted where ``text`` is given and the tokenizer known."""
        if text is not None and self._tokenizer is not None and len(text) <= self._tokenizer.most:
            return max(self._tokenizer.count(text), pieces)
        if self._token_pieces >= AGREED and pieces:
            return pieces
        ratio = self._char.value if self._char.reports else USUAL
        return max(math.ceil(chars * ratio), pieces)

    def _cold(self, size: Size) -> int:
        """What a request costs at most, whatever the tokenizer: one makes at most a token of each byte."""
        top = size.extent + (TEMPLATE + MESSAGE * size.prompts if self._template else BEGIN * size.prompts)
        return top + HIDDEN_TOOLS if size.kind & WITH_TOOLS else top

    def _count(self, tokenizer: Tokenizer, call: Call) -> tuple[int | None, int]:
        """Tokens of the text, and in how many messages it stands: none where it is no chat."""
        asked = call.input
        if isinstance(asked, Chat):
            if (words := words_of(asked)) is None:
                return None, 0
            return tokenizer.count(words[0]) + tokenizer.begin, words[1]
        texts = (asked,) if isinstance(asked, str) else [item for item in asked.items if isinstance(item, str)]
        counted = sum([tokenizer.count(text) + tokenizer.begin for text in texts])
        return counted, len(texts) if self._template else 0

    def _learn_counted(self, counted: int, messages: int, read: int) -> None:
        if messages:
            self._around.learn(messages, max(read - counted, 0), frame(messages))
        elif counted:
            self._beyond = max(read / counted, self._beyond + (1 - self._beyond) * FADE)

    def _learn_output(self, guess: Guess, output: int) -> None:
        self._choice.learn(output / guess.choices)
        if guess.choices <= TOLD_APART:
            self._outputs.setdefault(guess.choices, Mean()).learn(output)
        if guess.limit is not None and output > guess.limit * guess.choices:
            self._overruns = MEMORY
        elif self._overruns:
            self._overruns -= 1

    def _likely_output(self, guess: Guess) -> int:
        own = self._outputs.get(guess.choices)
        each = self._choice.value if self._choice.reports else USUAL_ANSWER
        likely = round(each * guess.choices if own is None else own.value)
        return likely if guess.limit is None or self._overruns else min(likely, guess.limit * guess.choices)


def frame(messages: int) -> int:
    return TEMPLATE + MESSAGE * messages


def output_bound(params: Params, most: int | None, prompts: int = 1) -> int | None:
    """Tokens that a call's answers can have at most; ``most`` is what the model can make in one. None: no bound."""
    each = params.max_tokens if params.max_tokens is not None else most
    if each is None:
        return None
    return each * max(params.n, params.best_of or 0) * prompts
