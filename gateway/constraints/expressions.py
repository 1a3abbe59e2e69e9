"""Regular expressions within a grammar, as rules of that grammar: so they cost what rules cost, whatever they are."""

import re
import warnings
from importlib import import_module
from typing import Any

from gateway.constraints.earley import ANY, Chars, Rules, Sequence
from gateway.constraints.problems import ConstraintError, cut

FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "u": re.UNICODE}
NO_LINE_END = Chars(((10, 10),), negated=True)

parse = import_module("re._parser").parse


def expression(rules: Rules, pattern: str, letters: str = "") -> Sequence:
    """A pattern in Python's notation. Anchors are passed over: a word of a grammar stands where its rule says."""
    try:
        flags = sum({FLAGS[letter] for letter in letters}, re.RegexFlag(0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parse(pattern, flags)
        return Writer(rules, tree.state.flags).sequence(tree)
    except (re.error, KeyError, OverflowError, RecursionError):
        raise ConstraintError(f"the pattern /{cut(pattern)}/ of the grammar is malformed") from None


class Writer:
    """Turns what Python's parser of regular expressions has read into rules."""

    def __init__(self, rules: Rules, flags: int) -> None:
        self.rules = rules
        self.fold = bool(flags & re.IGNORECASE)
        self.dot = ANY if flags & re.DOTALL else NO_LINE_END

    def sequence(self, nodes: Any) -> Sequence:
        found: list[Any] = []
        for operation, value in nodes:
            found += self.node(str(operation), value)
        return tuple(found)

    def node(self, operation: str, value: Any) -> Sequence:
        match operation:
            case "LITERAL" | "NOT_LITERAL":
                return (Chars(((value, value),), (), operation == "NOT_LITERAL", self.fold),)
            case "ANY":
                return (self.dot,)
            case "IN":
                return (self.chars(value),)
            case "AT":
                return ()
            case "BRANCH":
                return self.rules.any_of([self.sequence(branch) for branch in value[1]])
            case "SUBPATTERN":
                return self.sequence(value[-1])
            case "ATOMIC_GROUP":
                return self.sequence(value)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, part = value
                unlimited = str(high) == "MAXREPEAT"
                return self.rules.times(self.sequence(part), int(low), None if unlimited else int(high))
        raise ConstraintError("a pattern of the grammar has look-around or back-references, which cannot be followed")

    def chars(self, members: Any) -> Chars:
        ranges: list[tuple[int, int]] = []
        kinds: list[str] = []
        negated = False
        for operation, value in members:
            match str(operation):
                case "NEGATE":
                    negated = True
                case "LITERAL":
                    ranges.append((value, value))
                case "RANGE":
                    ranges.append(value)
                case _:
                    kinds.append(str(value).removeprefix("CATEGORY_").lower())
        return Chars(tuple(ranges), tuple(kinds), negated, self.fold)
