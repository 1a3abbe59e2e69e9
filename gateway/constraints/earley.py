"""Tells whether a text is a sentence of a context-free grammar, with Earley's algorithm, character by character.

J. Earley, "An efficient context-free parsing algorithm", 1970 (https://doi.org/10.1145/362007.362035); symbols that may
be empty are stepped over as in Aycock and Horspool, "Practical Earley parsing", 2002. There is no lexer, so a text is
judged by what the grammar allows rather than by how one tool would cut it into words.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.constraints.problems import ConstraintError

MAX_SYMBOLS = 50_000
"""What a grammar may come to, its repetitions written out."""

PATIENCE = 150_000
"""Steps after which a text is left undecided: about a tenth of a second."""

CATEGORIES: dict[str, Callable[[str], bool]] = {
    "digit": str.isdigit,
    "space": str.isspace,
    "word": lambda char: char.isalnum() or char == "_",
}


class Chars(Struct, frozen=True):
    """A set of characters: code points from-to, and kinds of them (``not_`` in front: all others)."""

    ranges: tuple[tuple[int, int], ...] = ()
    kinds: tuple[str, ...] = ()
    negated: bool = False
    fold: bool = False
    """Upper and lower case are the same."""

    def has(self, char: str) -> bool:
        found = self.lists(char) or (self.fold and (self.lists(char.lower()) or self.lists(char.upper())))
        return found != self.negated

    def lists(self, char: str) -> bool:
        if len(char) != 1:  # what some letters become in the other case
            return False
        code = ord(char)
        if any(low <= code <= high for low, high in self.ranges):
            return True
        return any(CATEGORIES[kind.removeprefix("not_")](char) != kind.startswith("not_") for kind in self.kinds)


Symbol = int | Chars
"""A rule by its number, or one character."""

Sequence = tuple[Symbol, ...]
Item = tuple[int, int]
"""A state, and where in the text its rule began."""

ANY = Chars(negated=True)


class Rules:
    """Rules under construction: each a list of alternatives."""

    def __init__(self) -> None:
        self.alternatives: list[list[Sequence]] = []
        self.size = 0

    def rule(self, *alternatives: Sequence) -> int:
        self.alternatives.append([])
        for alternative in alternatives:
            self.extend(len(self.alternatives) - 1, alternative)
        return len(self.alternatives) - 1

    def extend(self, rule: int, alternative: Sequence) -> None:
        self.size += len(alternative) + 1
        if self.size > MAX_SYMBOLS:
            raise ConstraintError("the grammar is too large, with its repetitions written out")
        self.alternatives[rule].append(alternative)

    def text(self, text: str, fold: bool = False) -> Sequence:
        return tuple(Chars(((ord(char), ord(char)),), fold=fold) for char in text)

    def any_of(self, alternatives: list[Sequence]) -> Sequence:
        return alternatives[0] if len(alternatives) == 1 else (self.rule(*alternatives),)

    def times(self, part: Sequence, low: int, high: int | None) -> Sequence:
        """``part`` repeated; without an upper limit if ``high`` is None."""
        if (high is not None and high < low) or low * (len(part) + 1) > MAX_SYMBOLS:
            raise ConstraintError("the grammar has a repetition that is too large, or ends before it begins")
        head = part * low
        if high is None:
            star = self.rule(())
            self.extend(star, (star, *part))
            return (*head, star)
        tail: Sequence = ()
        for _ in range(high - low):
            tail = (self.rule((), (*part, *tail)),)
        return (*head, *tail)


class Recogniser:
    """A grammar's tables. A state is a place within an alternative; the next state is one symbol further on."""

    def __init__(self, rules: Rules, start: int) -> None:
        self.start = start
        self.next: list[Symbol | None] = []
        self.of: list[int] = []
        self.first: list[list[int]] = []
        for number, alternatives in enumerate(rules.alternatives):
            self.first.append([])
            for alternative in alternatives:
                self.first[number].append(len(self.next))
                self.next += [*alternative, None]
                self.of += [number] * (len(alternative) + 1)
        self.empty = closed(rules, lambda symbol, found: symbol in found)
        if start not in closed(rules, lambda symbol, found: isinstance(symbol, Chars) or symbol in found):
            raise ConstraintError("no answer can keep the grammar: its rules never come to an end")

    def accepts(self, text: str) -> bool:
        """Whether the text is a sentence; also True when that takes too long to find out."""
        waiting: list[dict[int, list[Item]]] = []
        items = [(state, 0) for state in self.first[self.start]]
        left = PATIENCE
        for at in range(len(text) + 1):
            waiting.append({})
            left -= self.complete(items, at, waiting, left)
            if left <= 0:
                return True
            if at == len(text):
                break
            items = [
                (state + 1, origin)
                for state, origin in items
                if isinstance(chars := self.next[state], Chars) and chars.has(text[at])
            ]
            if not items:
                return False
        return any(origin == 0 and self.next[state] is None and self.of[state] == self.start for state, origin in items)

    def complete(self, items: list[Item], at: int, waiting: list[dict[int, list[Item]]], left: int) -> int:
        """Adds to the items what follows from them without reading on. The number of steps, which ends it early when
        it reaches ``left``."""
        known = set(items)
        here = waiting[at]
        steps = 0
        for item in items:  # which grows
            state, origin = item
            symbol = self.next[state]
            more: list[Item] = []
            if symbol is None:
                if origin != at:  # else it is empty, and was stepped over
                    more = [(before + 1, start) for before, start in waiting[origin].get(self.of[state], ())]
            elif isinstance(symbol, int):
                if symbol in here:
                    here[symbol].append(item)
                else:
                    here[symbol] = [item]
                    more = [(first, at) for first in self.first[symbol]]
                if symbol in self.empty:
                    more.append((state + 1, origin))
            steps += 1 + len(more)
            if steps >= left:
                break
            for follower in more:
                if follower not in known:
                    known.add(follower)
                    items.append(follower)
        return steps


def closed(rules: Rules, good: Callable[[Any, set[int]], bool]) -> set[int]:
    """The rules with an alternative all of whose symbols are good, where good may depend on the rules found before."""
    found: set[int] = set()
    users: dict[int, list[int]] = {}
    for number, alternatives in enumerate(rules.alternatives):
        for symbol in {symbol for alternative in alternatives for symbol in alternative if isinstance(symbol, int)}:
            users.setdefault(symbol, []).append(number)
    todo = list(range(len(rules.alternatives)))
    while todo:
        number = todo.pop()
        if number not in found and any(
            all(good(symbol, found) for symbol in alternative) for alternative in rules.alternatives[number]
        ):
            found.add(number)
            todo += users.get(number, ())
    return found
