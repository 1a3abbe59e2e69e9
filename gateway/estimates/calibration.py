"""From sizes to tokens, as a provider's reports teach it. Pure arithmetic, without clocks.

Reports are kept by size, in steps of a fifth. Between and beyond the steps that were seen one thing is relied on:
tokens are a constant (templates, hidden instructions) and so much for each byte, so a longer text costs no less than a
shorter one, and a text of twice the size at most twice as much.
"""

import math
from bisect import bisect

MARGIN = 1.25
"""How far a bound is above the most that was seen; further while a step has few reports."""

FADE = 1 / 512
"""What a report takes off an excess seen before it: after 355 of them half is forgotten."""

MEMORY = 16
"""How many reports a mean looks back upon, about."""

SURE = 8
"""Reports after which a provider may be believed to say the same whatever it is asked."""


class Step:
    """Reports of texts of nearly the same size: the most tokens, and the most for each byte; and what is usual."""

    __slots__ = ("mean_size", "mean_tokens", "most", "ratio", "reports")

    def __init__(self, size: int, tokens: int) -> None:
        self.reports = 1
        self.most, self.ratio = float(tokens), tokens / size
        self.mean_size, self.mean_tokens = float(size), float(tokens)

    def learn(self, size: int, tokens: int) -> None:
        self.reports += 1
        self.most = max(tokens, self.most + (tokens - self.most) * FADE)
        ratio = tokens / size
        self.ratio = max(ratio, self.ratio + (ratio - self.ratio) * FADE)
        weight = 1 / min(self.reports, MEMORY)
        self.mean_size += weight * (size - self.mean_size)
        self.mean_tokens += weight * (tokens - self.mean_tokens)


class Constant:
    """Notices a provider that says the same of short texts and long ones, as test servers do. ``value`` is what it
    says; None as long as that is not sure."""

    __slots__ = ("_last", "_longest", "_same", "_shortest", "value")

    def __init__(self) -> None:
        self.value: int | None = None
        self._last = -1
        self._same = self._shortest = self._longest = 0  # of the latest reports that were all alike

    def learn(self, size: int, tokens: int) -> None:
        if tokens != self._last:
            self._last, self._same, self._shortest, self._longest = tokens, 1, size, size
            self.value = None
            return
        self._same += 1
        self._shortest, self._longest = min(size, self._shortest), max(size, self._longest)
        if self._same >= SURE and self._longest >= 2 * self._shortest:
            self.value = tokens


class Calibration:
    """One sort of text at one model."""

    __slots__ = ("_above", "_places", "_steps")

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}
        self._places: list[int] = []  # of the steps, in order
        self._above = 0.0  # how far reports went beyond what should have been the most

    def learn(self, size: int, tokens: int, cold: float) -> None:
        """A provider has counted so many tokens in a text of this size (at least 1)."""
        place = place_of(size)
        step = self._steps.get(place)
        if step is None:
            self._steps[place] = Step(size, tokens)
            self._places.insert(bisect(self._places, place), place)
        else:
            step.learn(size, tokens)
        self._above = max(tokens - cold, self._above * (1 - FADE), 0.0)

    def bound(self, size: int, cold: float) -> int:
        """What a text of this size costs at most: ``cold``, which is known without any report, or less. Reports beyond
        ``cold`` raise it."""
        step = self._steps.get(place_of(size))
        if step is not None:
            top = max(step.most, step.ratio * size) * (MARGIN + 1 / step.reports)
        else:
            lower, upper = self._around(size)
            top = math.inf if lower is None else lower.ratio * size * (MARGIN + 1 / lower.reports)
            if upper is not None:
                top = min(top, upper.most * (MARGIN + 1 / upper.reports))
        return min(math.ceil(top), self.beyond(cold)) if top < math.inf else self.beyond(cold)

    def beyond(self, cold: float) -> int:
        """``cold``, raised as far as reports have gone beyond it."""
        return math.ceil(cold + self._above * MARGIN)

    def mean(self, size: int) -> float | None:
        """What a text of this size costs as a rule; None before the first report."""
        step = self._steps.get(place_of(size))
        if step is not None:
            return step.mean_tokens
        lower, upper = self._around(size)
        if lower is None:
            return None if upper is None else upper.mean_tokens
        if upper is None:
            return lower.mean_tokens * size / lower.mean_size
        share = (size - lower.mean_size) / (upper.mean_size - lower.mean_size)
        return lower.mean_tokens + share * (upper.mean_tokens - lower.mean_tokens)

    def _around(self, size: int) -> tuple[Step | None, Step | None]:
        """The nearest steps that were seen, below and above one that was not."""
        index = bisect(self._places, place_of(size))
        lower = self._steps[self._places[index - 1]] if index else None
        upper = self._steps[self._places[index]] if index < len(self._places) else None
        return lower, upper


def place_of(size: int) -> int:
    """Four steps for each doubling."""
    length = size.bit_length()
    return 4 * length + (size >> (length - 3) & 3 if length > 2 else size)
