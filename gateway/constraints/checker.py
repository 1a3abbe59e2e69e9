"""Checks answers against their constraints, with what a constraint needs for that prepared once and kept.

No constrained decoder can be relied on: some leave parts of a schema out, some stop at the token limit in the middle of
a value, and some providers only try.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any, Protocol

from msgspec import Struct

from adapters.types import AnyJson, Constraint, Grammar, JsonSchema, OneOf, Regex
from gateway.constraints.documents import Unreadable, read, unfenced
from gateway.constraints.grammars import compile_grammar
from gateway.constraints.patterns import whole_match
from gateway.constraints.problems import ConstraintError, Problem, Verdict, shown
from gateway.constraints.schemas import compile_schema

QUOTES = ('"', "'", "`")


class Ready(Protocol):
    """A constraint, prepared. ``weight`` is the room it takes among others."""

    @property
    def weight(self) -> int: ...

    def verdict(self, text: str) -> Verdict: ...


class Checker:
    """``cache_size`` bounds what is kept: the number of constraints, where a JSON Schema counts once more for each
    pattern in it. The longest unused go first."""

    def __init__(self, cache_size: int = 256) -> None:
        self.cache_size = cache_size
        self.kept: OrderedDict[bytes, Ready] = OrderedDict()
        self.weight = 0

    def prepare(self, constraint: Constraint) -> None:
        """Raises ConstraintError when no answer could be checked against it, or none can keep it."""
        self.ready(constraint)

    def check(self, constraint: Constraint, text: str) -> Verdict:
        """Whether an answer keeps its constraint, as it is or freed of what surrounds it. Raises as ``prepare``."""
        return self.ready(constraint).verdict(text)

    def ready(self, constraint: Constraint) -> Ready:
        key = key_of(constraint)
        found = self.kept.get(key)
        if found is not None:
            self.kept.move_to_end(key)
            return found
        made = prepared(constraint)
        self.kept[key] = made
        self.weight += made.weight
        while self.weight > self.cache_size and self.kept:
            _, gone = self.kept.popitem(last=False)
            self.weight -= gone.weight
        return made


def key_of(constraint: Constraint) -> bytes:
    """What tells constraints apart: their kind and what they demand, not how an engine is to be told."""
    match constraint:
        case JsonSchema():
            return b"schema" + blake2b(constraint.schema).digest()
        case AnyJson():
            return b"json"
        case Regex():
            return b"regex" + blake2b(constraint.pattern.encode("utf-8", "surrogatepass")).digest()
        case OneOf():
            return b"one of" + blake2b("".join(map(repr, constraint.choices)).encode()).digest()
        case Grammar():
            return b"grammar" + blake2b(constraint.text.encode("utf-8", "surrogatepass")).digest()


def prepared(constraint: Constraint) -> Ready:
    match constraint:
        case JsonSchema():
            compiled = compile_schema(constraint.schema)
            return Json(compiled.problem, compiled.weight)
        case AnyJson():
            return Json(not_an_object)
        case Regex():
            return Text(whole_match(constraint.pattern), "the answer as a whole does not match the pattern", trimmed)
        case OneOf():
            return Text(allowed(constraint.choices).__contains__, "the answer is none of the choices", peeled)
        case Grammar():
            return Text(compile_grammar(constraint.text), "the answer is no sentence of the grammar", trimmed)


class Json(Struct, frozen=True):
    """The answer is JSON, with a value that is looked at."""

    problem: Callable[[Any, int], Problem | None]
    weight: int = 1

    def verdict(self, text: str) -> Verdict:
        try:
            found, value = read(text)
        except Unreadable as unreadable:
            return Verdict(text, str(unreadable))
        problem = self.problem(value, len(found))
        return Verdict(found) if problem is None else Verdict(text, problem.words, problem.path)


class Text(Struct, frozen=True):
    """The answer is a text for which ``keeps`` is true; ``variants`` are what else of it may have been meant."""

    keeps: Callable[[str], bool]
    problem: str
    variants: Callable[[str], Iterable[str]]
    weight: int = 1

    def verdict(self, text: str) -> Verdict:
        if not is_unicode(text):
            return Verdict(text, "the answer holds half of a surrogate pair")
        for variant in (text, *self.variants(text)):
            if self.keeps(variant):
                return Verdict(variant)
        return Verdict(text, self.problem)


def not_an_object(value: Any, size: int) -> Problem | None:
    return None if isinstance(value, dict) else Problem(f"the answer is not a JSON object but {shown(value)}", "")


def allowed(choices: tuple[str, ...]) -> frozenset[str]:
    found = frozenset(choices)
    if not found:
        raise ConstraintError("there is nothing to choose from: give at least one choice")
    if "" in found:
        raise ConstraintError("a choice is empty")
    if len(found) != len(choices):
        twice = next(choice for choice, times in Counter(choices).items() if times > 1)
        raise ConstraintError(f"a choice stands twice: {shown(twice)}")
    return found


def trimmed(text: str) -> list[str]:
    """Without a fence, without space around it."""
    fenced = unfenced(text)
    found = [text.strip(), *([] if fenced is None else [fenced])]
    return [variant for variant in dict.fromkeys(found) if variant != text]


def peeled(text: str) -> list[str]:
    """The same, and as a word in a sentence's place: without quotes, without a full stop."""
    found = list(trimmed(text))
    bare = text.strip()
    for variant in (bare, bare.removesuffix(".")):
        found.append(variant)
        if len(variant) > 1 and variant[0] == variant[-1] and variant[0] in QUOTES:
            found.append(variant[1:-1])
    return found


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
