"""Stop strings, for providers that leave them at the end of an answer: to the caller they are no part of it."""


def trimmed(text: str, stops: tuple[str, ...]) -> str:
    """A text that a stop string has ended, without that string."""
    ending = max((stop for stop in stops if text.endswith(stop)), key=len, default="")
    return text.removesuffix(ending)


class Held:
    """A streamed text, handed on but for what may turn out to be a stop string."""

    __slots__ = ("_kept", "_stops")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._kept = ""

    def feed(self, text: str) -> str:
        """What can be told of the text so far, and has not been."""
        text = self._kept + text
        keep = max((overlap(text, stop) for stop in self._stops), default=0)
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self, stopped: bool) -> str:
        """The rest, when the answer has ended, by a stop string or otherwise."""
        return trimmed(self._kept, self._stops) if stopped else self._kept


def overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text are a beginning of the stop string, or all of it."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)
