"""Lark's grammars as llama.cpp's. https://lark-parser.readthedocs.io/en/latest/grammar.html

The part that says what a text is: rules, terminals, literals, regular expressions, groups, alternatives, repetitions,
the usual imports, and ``%ignore``, whose texts may stand behind any token. What only shapes a parse tree (``?``,
``!``, ``->``, priorities) says nothing about a text and is left out; all else is refused by name.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from adapters.errors import Rejected, inexpressible
from adapters.local.gbnf import expression, quoted
from adapters.regex import in_class

COMMON: dict[str, str] = {
    "CNAME": r"[A-Za-z_][A-Za-z0-9_]*",
    "DECIMAL": r"[0-9]+\.[0-9]*|\.[0-9]+",
    "DIGIT": r"[0-9]",
    "ESCAPED_STRING": r'"([^"\\\n]|\\[^\n])*"',
    "FLOAT": r"[0-9]+[eE][+-]?[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?",
    "HEXDIGIT": r"[0-9A-Fa-f]",
    "INT": r"[0-9]+",
    "LCASE_LETTER": r"[a-z]",
    "LETTER": r"[A-Za-z]",
    "NEWLINE": r"(\r?\n)+",
    "NUMBER": r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?",
    "SIGNED_FLOAT": r"[+-]?([0-9]+[eE][+-]?[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)",
    "SIGNED_INT": r"[+-]?[0-9]+",
    "SIGNED_NUMBER": r"[+-]?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?)",
    "UCASE_LETTER": r"[A-Z]",
    "WORD": r"[A-Za-z]+",
    "WS": r"[ \t\f\r\n]+",
    "WS_INLINE": r"[ \t]+",
}
"""What can be imported from ``common``, as regular expressions."""

MOST_RULES = 500
"""To look for a rule that begins with itself takes time that grows with the square of them."""

TOKEN = re.compile(
    r"""(?P<space>[ \t\f\r]+|//[^\n]*|\#[^\n]*)
      | (?P<line>\n)
      | (?P<string>"(?:[^"\\\n]|\\.)*"i?)
      | (?P<regex>/(?!/)(?:[^/\\\n]|\\.)+/[a-z]*)
      | (?P<directive>%[a-z]+)
      | (?P<name>[!?]*_?[A-Za-z][A-Za-z0-9_]*(?:\.-?[0-9]+(?=\s*:))?)
      | (?P<sign>->|\.\.|[:|()\[\]?*+~.,{}])
      | (?P<number>[0-9]+)""",
    re.VERBOSE,
)

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "\\": "\\", '"': '"', "'": "'", "/": "/"}


class Text(Struct, frozen=True):
    """A token: what it matches, in llama.cpp's words."""

    text: str


class Ref(Struct, frozen=True):
    name: str


class Sequence(Struct, frozen=True):
    items: "tuple[Node, ...]"


class Either(Struct, frozen=True):
    options: "tuple[Node, ...]"


class Repeat(Struct, frozen=True):
    item: "Node"
    least: int
    most: int | None


Node = Text | Ref | Sequence | Either | Repeat


class Word(Struct, frozen=True):
    """A token of the grammar's own text."""

    kind: str
    text: str
    line: int


def refusal(why: str) -> Rejected:
    return inexpressible("guided_grammar", f"this grammar cannot be sent to llama.cpp: {why}")


def from_lark(text: str) -> str:
    """A grammar of the same sentences. Raises ``Rejected`` for what llama.cpp has no words for."""
    grammar = Reader(text).grammar()
    if "start" not in grammar.rules:
        raise refusal("it has no rule start")
    rules = {name: without_left_recursion(name, node) for name, node in grammar.rules.items()}
    check(rules, grammar.ignored)
    return Writer(rules, grammar.ignored).text()


class Grammar(Struct):
    rules: dict[str, Node]
    ignored: list[Node]


class Reader:
    """Reads one grammar."""

    def __init__(self, text: str) -> None:
        self._words = list(words(text))
        self._at = 0
        self._grammar = Grammar({}, [])
        self._depth = 0

    def grammar(self) -> Grammar:
        while self._peek().kind != "end":
            if self._peek().kind == "line":
                self._take()
            elif self._peek().kind == "directive":
                self._directive()
            else:
                self._rule()
        return self._grammar

    def _peek(self, ahead: int = 0) -> Word:
        return self._words[min(self._at + ahead, len(self._words) - 1)]

    def _take(self) -> Word:
        word = self._peek()
        self._at += 1
        return word

    def _next(self, sign: str) -> bool:
        found = self._peek().text == sign and self._peek().kind in ("sign", "line")
        self._at += found
        return found

    def _expect(self, kind: str, what: str) -> Word:
        word = self._take()
        if word.kind != kind:
            raise refusal(f"line {word.line} should have {what} before {word.text[:20] or 'its end'!r}")
        return word

    def _rule(self) -> None:
        word = self._expect("name", "the name of a rule")
        name = word.text.lstrip("!?").partition(".")[0]
        if self._next("{"):
            raise refusal(f"line {word.line} has a template")
        if not self._next(":"):
            raise refusal(f"line {word.line} should have : after {name[:40]}")
        if name in self._grammar.rules:
            raise refusal(f"{name[:40]} is defined twice")
        if len(self._grammar.rules) == MOST_RULES:
            raise refusal(f"it has more than {MOST_RULES} rules")
        self._grammar.rules[name] = self._options()

    def _directive(self) -> None:
        word = self._take()
        if word.text == "%ignore":
            self._grammar.ignored.append(self._options())
        elif word.text == "%import":
            self._import(word)
        else:
            raise refusal(f"line {word.line} has {word.text}")

    def _import(self, word: Word) -> None:
        source = self._expect("name", "common").text
        if source != "common":
            raise refusal(f"line {word.line} imports from {source[:40]}; only common is known")
        if self._next("."):
            name = self._expect("name", "a name").text
            self._common(name, self._expect("name", "a name").text if self._next("->") else name)
            return
        if not self._next("("):
            raise refusal(f"line {word.line} imports nothing")
        while True:
            name = self._expect("name", "a name").text
            self._common(name, name)
            if not self._next(","):
                break
        if not self._next(")"):
            raise refusal(f"line {word.line} should end in )")

    def _common(self, name: str, alias: str) -> None:
        if name not in COMMON:
            raise refusal(f"common.{name[:40]} is not known; {', '.join(COMMON)} are")
        self._grammar.rules[alias] = Text(f"({expression(COMMON[name], 'guided_grammar')})")

    def _options(self) -> Node:
        """Alternatives, which may go on over lines that begin with ``|``."""
        self._next("|")
        options = [self._sequence()]
        while self._goes_on():
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Either(tuple(options))

    def _goes_on(self) -> bool:
        ahead = 0
        while self._peek(ahead).kind == "line":
            ahead += 1
        if self._peek(ahead).text != "|" or self._peek(ahead).kind != "sign":
            return False
        self._at += ahead + 1
        return True

    def _sequence(self) -> Node:
        items: list[Node] = []
        while True:
            word = self._peek()
            if word.kind == "line" and self._depth:
                self._take()
                continue
            if word.kind in ("line", "end", "directive") or word.text in ("|", ")", "]") and word.kind == "sign":
                break
            if word.text == "->" and word.kind == "sign":
                self._take()
                self._expect("name", "a name")
                continue
            items.append(self._repeated(self._atom()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _inside(self, closing: str, line: int) -> Node:
        """What stands in brackets; lines mean nothing there."""
        self._depth += 1
        if self._depth > 50:
            raise refusal("its brackets are nested more than 50 deep")
        node = self._options()
        while self._next("\n"):
            pass
        if not self._next(closing):
            raise refusal(f"line {line} has a bracket that is not closed")
        self._depth -= 1
        return node

    def _atom(self) -> Node:
        word = self._take()
        if word.kind == "string":
            return self._string(word)
        if word.kind == "regex":
            pattern, _, flags = word.text[1:].rpartition("/")
            if flags:
                raise refusal(f"line {word.line} has a regular expression with flags")
            pattern = pattern.replace("\\/", "/")
            return Text(f"({expression(pattern, 'guided_grammar')})")
        if word.kind == "name":
            if self._next("{"):
                raise refusal(f"line {word.line} has a template")
            return Ref(word.text.lstrip("!?"))
        if word.text == "(":
            return self._inside(")", word.line)
        if word.text == "[":
            return Repeat(self._inside("]", word.line), 0, 1)
        raise refusal(f"line {word.line} has {word.text[:20]!r} where a rule, a terminal or a literal should be")

    def _string(self, word: Word) -> Node:
        text = literal(word)
        if self._next(".."):
            last = literal(self._expect("string", "a character"))
            if len(text) != 1 or len(last) != 1 or last < text:
                raise refusal(f"line {word.line} has a range that is not of two characters in order")
            return Text(f"[{in_class(text)}-{in_class(last)}]")
        if word.text.endswith("i"):
            cases = ["".join(dict.fromkeys((char.lower(), char.upper()))) for char in text]
            return Text("(" + " ".join([f"[{''.join(map(in_class, both))}]" for both in cases]) + ")")
        return Text(quoted(text))

    def _repeated(self, node: Node) -> Node:
        for sign, least, most in (("?", 0, 1), ("*", 0, None), ("+", 1, None)):
            if self._next(sign):
                return Repeat(node, least, most)
        if not self._next("~"):
            return node
        least = self._number()
        return Repeat(node, least, self._number() if self._next("..") else least)

    def _number(self) -> int:
        word = self._expect("number", "a number")
        if len(word.text) > 4 or int(word.text) > 1000:
            raise refusal(f"line {word.line} repeats more than 1000 times")
        return int(word.text)


def words(text: str) -> Iterator[Word]:
    at, line = 0, 1
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise refusal(f"line {line} has {text[at]!r}, which is none of Lark's signs")
        kind = found.lastgroup or ""
        if kind != "space":
            yield Word(kind, found[0], line)
        line += kind == "line"
        at = found.end()
    yield Word("end", "", line)


def literal(word: Word) -> str:
    """The text that a quoted one stands for."""

    def meant(found: re.Match[str]) -> str:
        escape = found[1]
        if escape[0] in "xu":
            return chr(int(escape[1:], 16))
        if escape not in ESCAPES:
            raise refusal(f"line {word.line} has \\{escape} in a literal")
        return ESCAPES[escape]

    text = re.sub(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)", meant, word.text.removesuffix("i")[1:-1])
    if not text:
        raise refusal(f"line {word.line} has an empty literal")
    return text


def without_left_recursion(name: str, node: Node) -> Node:
    """A rule that begins with itself, said by repetition: ``a: a x | b`` is ``a: b x*``."""
    options = node.options if isinstance(node, Either) else (node,)
    tails = tuple([Sequence(o.items[1:]) for o in options if isinstance(o, Sequence) and o.items[:1] == (Ref(name),)])
    if not tails:
        return node
    bases = tuple([o for o in options if not (isinstance(o, Sequence) and o.items[:1] == (Ref(name),))])
    if not bases:
        raise refusal(f"{name[:40]} never ends")
    return Sequence((Either(bases), Repeat(Either(tails), 0, None)))


def check(rules: dict[str, Node], ignored: list[Node]) -> None:
    """Raises for names without a rule, and for rules that can begin with themselves by way of others."""
    for node in [*rules.values(), *ignored]:
        for used in refs(node):
            if used not in rules:
                raise refusal(f"it has no {used[:40]}")
    empty = can_be_empty(rules)
    for name, node in rules.items():
        seen: set[str] = set()
        ahead = list(begins(node, empty))
        while ahead:
            first = ahead.pop()
            if first == name:
                raise refusal(f"{name[:40]} can begin with itself by way of other rules: write it without")
            if first not in seen:
                seen.add(first)
                ahead += begins(rules[first], empty)


def refs(node: Node) -> Iterator[str]:
    if isinstance(node, Ref):
        yield node.name
    for inner in parts(node):
        yield from refs(inner)


def parts(node: Node) -> tuple[Node, ...]:
    match node:
        case Sequence(items):
            return items
        case Either(options):
            return options
        case Repeat(item):
            return (item,)
    return ()


def begins(node: Node, empty: set[str]) -> Iterator[str]:
    """The rules that a text of this node can begin with."""
    match node:
        case Ref(name):
            yield name
        case Sequence(items):
            for item in items:
                yield from begins(item, empty)
                if not is_empty(item, empty):
                    break
        case _:
            for inner in parts(node):
                yield from begins(inner, empty)


def can_be_empty(rules: dict[str, Node]) -> set[str]:
    """The rules for which nothing at all can stand."""
    found: set[str] = set()
    while more := {name for name, node in rules.items() if name not in found and is_empty(node, found)}:
        found |= more
    return found


def is_empty(node: Node, empty: set[str]) -> bool:
    """Whether nothing at all can stand for this node, as far as that is known of the rules."""
    match node:
        case Text(text):
            return text == '""'
        case Ref(name):
            return name in empty
        case Sequence(items):
            return all(is_empty(item, empty) for item in items)
        case Either(options):
            return any(is_empty(option, empty) for option in options)
        case Repeat(item, least):
            return least == 0 or is_empty(item, empty)


class Writer:
    """Writes rules in llama.cpp's words. Between the tokens of rules, but not inside terminals, stands what the
    grammar ignores."""

    def __init__(self, rules: dict[str, Node], ignored: list[Node]) -> None:
        self._rules = rules
        self._ignored = ignored

    def text(self) -> str:
        lines = [f"root ::= {'ignored? ' if self._ignored else ''}{named('start')}"]
        lines += [f"{named(name)} ::= {self._node(node, name.isupper())}" for name, node in self._rules.items()]
        if self._ignored:
            lines.append("ignored ::= " + self._node(Repeat(Either(tuple(self._ignored)), 1, None), True))
        return "\n".join(lines)

    def _node(self, node: Node, terminal: bool) -> str:
        match node:
            case Text(text):
                return text if terminal else self._spaced(text)
            case Ref(name):
                return self._spaced(named(name)) if name.isupper() and not terminal else named(name)
            case Sequence(items):
                return " ".join([self._node(item, terminal) for item in items]) or '""'
            case Either(options):
                return "(" + " | ".join([self._node(option, terminal) for option in options]) + ")"
            case Repeat(item, least, most):
                return f"({self._node(item, terminal)}){times(least, most)}"

    def _spaced(self, token: str) -> str:
        return f"({token} ignored?)" if self._ignored else token


def times(least: int, most: int | None) -> str:
    if (least, most) == (0, 1):
        return "?"
    if most is None:
        return "+" if least else "*"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"


def named(name: str) -> str:
    """A rule's name: llama.cpp's have no underscores, and ``root`` is the first rule's."""
    return "x-" + name.replace("_", "-")
