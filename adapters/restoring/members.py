"""Takes members that stand for nothing out of a JSON text, as it comes.

The text is read token by token, in states that can be left and entered anywhere within a token. What is not taken out
is told as it stands. Text is held back only where a member may have to go: from the comma before it to the first
character of its value, or to the end of a null. Regular expressions read what is whole at once; each is bounded by
what it reads, so that the work grows with the text alone.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from adapters.restoring.places import Place, Places
from adapters.restoring.tokens import (
    CLOSING,
    COLON,
    CONTAINER,
    CUT_ESCAPE,
    DELIMITERS,
    ELEMENTS,
    INSIDE,
    KEY,
    LETTERS,
    MEMBERS,
    NEXT,
    SPACED,
    STAYING,
    VALUE,
    WHOLE_ATOM,
    end_of,
    found_in,
    name_of,
)

Step: TypeAlias = "Callable[[Members, str, int], int]"
"""Reads a text on from an index, and says how far; tells the reader which step is next."""


class Members:
    """Reads one JSON value. ``optional`` is its schema, whose optional members are taken out where they are null; None
    if there are none. ``tells_rest``: what comes behind the value is told, too. From where the text is no JSON any
    more, it is told as it is."""

    __slots__ = (
        *("_atom", "_closing", "_cut", "_from", "_held", "_index", "_is_optional", "_key", "_place", "_places"),
        *("_stack", "_start", "_stayed", "_step", "_tells_rest", "_told"),
    )

    def __init__(self, optional: Any, tells_rest: bool) -> None:
        self._places = Places(optional)
        self._tells_rest = tells_rest
        self._step: Step = Members._value
        self._stack: list[tuple[str, Place | None, int]] = []
        self._closing = ""  # of the list or object that is read; nothing around the outermost value
        self._place: Place | None = None  # of that list or object
        self._index = 0  # of the element that is read
        self._stayed = True  # whether the object has a member that was told
        self._key: list[str] = []  # of the member that is read, as it is written
        self._is_optional = False  # whether that member goes if it is null
        self._atom: list[str] = []  # what there is of a number, true, false or null
        self._cut = ""  # an escape whose end is missing
        self._held: list[str] = []  # what was held back when the text so far ended
        self._told: list[str] = []
        self._start = 0  # from where the text is not told yet
        self._from = -1  # from where it is held back, if it is

    def feed(self, text: str) -> str:
        """What can be told by now."""
        text = self._cut + text if self._cut else text
        self._cut = ""
        self._start = at = 0
        self._from = -1 if self._from < 0 else 0
        while at < len(text) and not self._cut:
            at = self._step(self, text, at)
        end = len(text) - len(self._cut)
        if self._from < 0:
            self._told.append(text[self._start : end])
        else:
            self._told.append(text[self._start : self._from])
            self._held.append(text[self._from : end])
        told = "".join(self._told)
        self._told.clear()
        return told

    def close(self) -> str:
        """The rest: what was held back, unless it can only have become a member to be taken out."""
        if self._held and self._step is Members._rest_of_atom and "null".startswith("".join(self._atom)):
            return ""
        return "".join(self._held) + self._cut

    # ------------------------------------------------------------------ values

    def _value(self, text: str, at: int) -> int:
        if self._closing == "]" and (self._place is None or self._place.has_plain(self._index)):
            at = end_of(ELEMENTS, text, at)
        found = found_in(VALUE, text, at)
        kind, at = found.lastgroup, found.end()
        if self._is_optional and kind is not None:
            if kind == "scalar" and found[kind] == "null":
                self._take_out(text, at)
            elif kind != "atom" or found[kind] != "n":
                self._stay()
        if kind == "scalar":
            self._done()
        elif kind == "opening":
            return self._open(text, at)
        elif kind == "quote":
            self._step = Members._rest_of_string
        elif kind == "atom":
            self._atom = [found[kind]]
            self._step = Members._rest_of_atom
        elif at < len(text):
            self._give_up()
        return at

    def _first_value(self, text: str, at: int) -> int:
        at = end_of(SPACED, text, at)
        if text.startswith("]", at):
            return self._close(at + 1)
        if at < len(text):
            self._step = Members._value
        return at

    def _rest_of_string(self, text: str, at: int) -> int:
        end = end_of(INSIDE, text, at)
        if text.startswith('"', end):
            self._done()
            return end + 1
        return self._cut_or_wrong(text, end)

    def _rest_of_atom(self, text: str, at: int) -> int:
        end = end_of(LETTERS, text, at)
        self._atom.append(text[at:end])
        if end == len(text):
            return end
        if text[end] not in DELIMITERS or WHOLE_ATOM.fullmatch("".join(self._atom)) is None:
            self._give_up()
            return end
        if self._is_optional:  # else it would have been told: it is a null
            self._take_out(text, end)
        self._done()
        return end

    def _done(self) -> None:
        """A value has ended."""
        self._step = Members._next if self._closing else Members._behind

    def _next(self, text: str, at: int) -> int:
        found = found_in(NEXT, text, at)
        at, sign = found.end(), found[1]
        if sign == ",":
            self._comma(text, at)
        elif sign == self._closing:
            return self._close(at)
        elif sign or at < len(text):
            self._give_up()
        return at

    def _comma(self, text: str, at: int) -> None:
        if self._closing == "]":
            self._index += 1
            self._step = Members._value
            return
        self._step = Members._member
        if not self._stayed:  # the comma of a first member, which went
            self._told.append(text[self._start : at - 1])
            self._start = self._from = at
        elif self._place is not None and self._place.has_optional:
            self._from = at - 1

    def _open(self, text: str, at: int) -> int:
        """Behind a bracket."""
        place = self._place_of_value()
        if place is None and (whole := CONTAINER.match(text, at - 1)):
            self._done()
            return whole.end()
        self._stack.append((self._closing, self._place, self._index))
        self._closing, self._place, self._index = CLOSING[text[at - 1]], place, 0
        if self._closing == "]":
            self._step = Members._first_value
            return at
        self._step = Members._first_member
        if place is not None and place.has_optional:
            self._stayed = False
            self._from = at
        return at

    def _place_of_value(self) -> Place | None:
        if not self._closing:
            return self._places.root()
        if self._place is None:
            return None
        if self._closing == "]":
            return self._place.element(self._index)
        return self._place.member(name_of(self._key))

    def _close(self, at: int) -> int:
        self._closing, self._place, self._index = self._stack.pop()
        self._stay()  # white space in an empty object; and this member of the object around it
        self._done()
        return at

    def _behind(self, text: str, at: int) -> int:
        """Behind the outermost value."""
        if not self._tells_rest:
            self._told.append(text[self._start : at])
            self._start = len(text)
        return len(text)

    # ------------------------------------------------------------------ keys

    def _member(self, text: str, at: int) -> int:
        at = self._pass_over(text, at)
        found = found_in(KEY, text, at)
        at = found.end()
        if found[1]:
            self._key = [found[1]]
            self._named()
        elif found[2]:
            self._key = ['"']
            self._step = Members._rest_of_key
        elif at < len(text):
            self._give_up()
        return at

    def _pass_over(self, text: str, at: int) -> int:
        """Members that stay and are whole, with the commas behind them."""
        if self._place is None:
            return end_of(MEMBERS, text, at)
        found = found_in(STAYING, text, at)
        if found[1] and self._place.has_optional:
            self._stay()
            self._from = found.start(1)
        return found.end()

    def _first_member(self, text: str, at: int) -> int:
        at = end_of(SPACED, text, at)
        if text.startswith("}", at):
            return self._close(at + 1)
        if at < len(text):
            self._step = Members._member
        return at

    def _rest_of_key(self, text: str, at: int) -> int:
        end = end_of(INSIDE, text, at)
        self._key.append(text[at:end])
        if text.startswith('"', end):
            self._key.append('"')
            self._step = Members._colon
            return end + 1
        return self._cut_or_wrong(text, end)

    def _colon(self, text: str, at: int) -> int:
        found = found_in(COLON, text, at)
        if found[1]:
            self._named()
        elif found.end() < len(text):
            self._give_up()
        return found.end()

    def _named(self) -> None:
        """A member's key is known: what was held back is told, unless the member may go."""
        self._step = Members._value
        place = self._place
        if place is not None and place.has_optional:
            self._is_optional = place.is_optional(name_of(self._key))
            if not self._is_optional:
                self._stay()

    # ------------------------------------------------------------------ what is told

    def _stay(self) -> None:
        """What was held back is told."""
        self._stayed = True
        self._is_optional = False
        self._from = -1
        self._told += self._held  # nothing else has been told since
        self._held.clear()

    def _take_out(self, text: str, end: int) -> None:
        """What was held back goes. The white space behind it stays."""
        self._told.append(text[self._start : self._from])
        self._start = end
        self._is_optional = False
        self._from = -1
        self._held.clear()

    def _cut_or_wrong(self, text: str, end: int) -> int:
        """Where the inside of a string ends without a quote."""
        if CUT_ESCAPE.match(text, end):
            self._cut = text[end:]
        elif end < len(text):
            self._give_up()
        return end

    def _give_up(self) -> None:
        """The text is no JSON."""
        self._stay()
        self._step = Members._rest

    def _rest(self, text: str, at: int) -> int:
        return len(text)
