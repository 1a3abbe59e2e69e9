"""Finite grammars as llama.cpp's. https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md"""

from adapters.local.finite.sentences import Chars, Choice, Literal, Repeat, Sentence, Sequence, inner
from adapters.local.gbnf import quoted
from adapters.regex import in_class

LONG = 120
"""Characters of what becomes a rule of its own, so that no line is written out again and again."""


def written(root: Sentence) -> str:
    """The grammar. What is used in several places is written once."""
    uses: dict[int, int] = {}
    texts: dict[int, str] = {}
    rules: list[str] = []
    for one in in_order(root, uses):
        text = expression(one, texts)
        if one is not root and not isinstance(one, Literal | Chars) and (uses[id(one)] > 1 or len(text) > LONG):
            rules.append(f"r{len(rules)} ::= {text}")
            text = f"r{len(rules) - 1}"
        elif isinstance(one, Choice) and one is not root:
            text = f"({text})"
        texts[id(one)] = text
    return "\n".join([f"root ::= {texts[id(root)]}", *rules])


def in_order(root: Sentence, uses: dict[int, int]) -> list[Sentence]:
    """Each part once, before all that holds it; counts in how many places it stands."""
    found: list[Sentence] = []
    waiting: list[tuple[Sentence, bool]] = [(root, False)]
    while waiting:
        one, done = waiting.pop()
        if done:
            found.append(one)
            continue
        uses[id(one)] = uses.get(id(one), 0) + 1
        if uses[id(one)] == 1:
            waiting.append((one, True))
            waiting.extend([(part, False) for part in inner(one)])
    return found


def expression(one: Sentence, texts: dict[int, str]) -> str:
    match one:
        case Literal():
            return quoted(one.text)
        case Chars():
            return f"[{''.join([span(first, last) for first, last in one.ranges])}]"
        case Sequence():
            return " ".join([texts[id(part)] for part in one.parts])
        case Choice():
            return " | ".join([texts[id(option)] for option in one.options])
        case Repeat():
            return repeated(one, texts[id(one.part)])


def span(first: int, last: int) -> str:
    begin, end = in_class(chr(first)), in_class(chr(last))
    return begin if first == last else f"{begin}-{end}"


def repeated(one: Repeat, part: str) -> str:
    if isinstance(one.part, Sequence | Repeat) and not part.startswith("r"):
        part = f"({part})"
    if (one.least, one.most) == (0, 1):
        return f"{part}?"
    return f"{part}{{{one.least}}}" if one.least == one.most else f"{part}{{{one.least},{one.most}}}"
