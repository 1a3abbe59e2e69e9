"""Grammars, in Lark's notation (https://lark-parser.readthedocs.io/en/stable/grammar.html) or, with ``::=``, in EBNF as
llama.cpp writes it (GBNF, https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md).

A text is a sentence if the rules allow it, in whatever way: Lark's priorities, and how its lexer would cut the text, do
not matter. Not understood, and so refused, are Lark's templates, ``%declare``, ``%extend``, ``%override``, and imports
from elsewhere than its ``common``. Nothing is read from disk. A text that takes too long to follow, in the order of
some thousand characters, passes: the engine was held to the grammar, and the second look is given up.
"""

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from gateway.constraints.earley import ANY, Chars, Recogniser, Rules, Sequence
from gateway.constraints.expressions import expression
from gateway.constraints.problems import ConstraintError, cut

MAX_TEXT = 64 * 1024
"""Characters."""

MAX_NESTED = 64

COMMON = {
    "CNAME": r"[_A-Za-z][_A-Za-z0-9]*",
    "CR": r"\r",
    "CPP_COMMENT": r"//[^\n]*",
    "C_COMMENT": r"/\*(?:[^*]|\*+[^*/])*\*+/",
    "DECIMAL": r"[0-9]+\.[0-9]*|\.[0-9]+",
    "DIGIT": r"[0-9]",
    "ESCAPED_STRING": r'"(?:[^"\\\n]|\\[^\n])*"',
    "FLOAT": r"[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
    "HEXDIGIT": r"[a-fA-F0-9]",
    "INT": r"[0-9]+",
    "LCASE_LETTER": r"[a-z]",
    "LETTER": r"[A-Za-z]",
    "LF": r"\n",
    "NEWLINE": r"(?:\r?\n)+",
    "NUMBER": r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
    "SH_COMMENT": r"#[^\n]*",
    "SIGNED_FLOAT": r"[+-]?(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)",
    "SIGNED_INT": r"[+-]?[0-9]+",
    "SIGNED_NUMBER": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
    "SQL_COMMENT": r"--[^\n]*",
    "UCASE_LETTER": r"[A-Z]",
    "WORD": r"[A-Za-z]+",
    "WS": r"[ \t\f\r\n]+",
    "WS_INLINE": r"[ \t]+",
}
"""What ``%import common`` offers, in our own words."""

LARK = re.compile(
    r"""
      (?P<head> ^[ \t]* [?!]* [A-Za-z_]\w* (?:\.-?\d+)? [ \t]* : )
    | (?P<space> [\r\n]+ | [ \t\f]+ | (?://|\#)[^\n]* )
    | (?P<import> %import\b [^\n(]* (?: \( [^)]* \) )? )
    | (?P<ignore> %ignore\b )
    | (?P<string> "(?:[^"\\\n]|\\.)*"i? )
    | (?P<regex> /(?:[^/\\\n]|\\.)+/[imslux]* )
    | (?P<count> ~[ \t]*\d+(?:[ \t]*\.\.[ \t]*\d+)? )
    | (?P<alias> ->[ \t]*\w+ )
    | (?P<name> !?[A-Za-z_]\w* )
    | (?P<mark> \.\. | [|()\[\]*+?] )
    """,
    re.VERBOSE | re.MULTILINE,
)
GBNF = re.compile(
    r"""
      (?P<space> \s+ | \#[^\n]* )
    | (?P<head> (?: <[^<>\n]+> | [A-Za-z_][\w-]* ) \s* ::= )
    | (?P<string> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
    | (?P<set> \[ (?:[^\]\\\n]|\\.)* \] )
    | (?P<count> \{ [\d\s,]* \} )
    | (?P<name> <[^<>\n]+> | [A-Za-z_][\w-]* )
    | (?P<mark> [|()*+?.] )
    """,
    re.VERBOSE,
)
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
CONTROL = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
OFTEN: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}


class Token(Struct, frozen=True):
    kind: str
    text: str
    line: int


def compile_grammar(text: str) -> Callable[[str], bool]:
    """Tells sentences of the grammar. Raises ConstraintError when it cannot be read or has none."""
    if len(text) > MAX_TEXT:
        raise ConstraintError(f"the grammar is longer than {MAX_TEXT} characters")
    ebnf = "::=" in text
    reader = Reader(list(tokens(GBNF if ebnf else LARK, text)), ebnf)
    return reader.recogniser(("root", "start", "<root>", "<start>") if ebnf else ("start",)).accepts


def tokens(notation: re.Pattern[str], text: str) -> Iterator[Token]:
    at, line = 0, 1
    while at < len(text):
        found = notation.match(text, at)
        if found is None or found.lastgroup is None:
            raise ConstraintError(f"line {line} of the grammar cannot be read at {cut(text[at:].splitlines()[0])}")
        if found.lastgroup != "space":
            yield Token(found.lastgroup, found[0], line)
        line += found[0].count("\n")
        at = found.end()


class Reader:
    """Reads tokens into rules. In Lark, what is ignored may stand after each terminal of a rule."""

    def __init__(self, found: list[Token], ebnf: bool) -> None:
        self.tokens = found
        self.ebnf = ebnf
        self.at = 0
        self.depth = 0
        self.rules = Rules()
        self.names: dict[str, int] = {}
        self.defined: set[str] = set()
        self.asked: dict[str, int] = {}
        self.ignored = self.rules.rule(())
        self.in_rule = False

    def recogniser(self, starts: tuple[str, ...]) -> Recogniser:
        while self.at < len(self.tokens):
            self.statement()
        missing = [name for name in self.asked if name not in self.defined]
        if missing:
            line = self.asked[missing[0]]
            raise ConstraintError(f"line {line} of the grammar names {cut(missing[0])}, which it does not define")
        start = next((name for name in starts if name in self.defined), None)
        if start is None:
            raise ConstraintError(f"the grammar has no rule {starts[0]}, with which a sentence begins")
        return Recogniser(self.rules, self.rules.rule((self.ignored, self.names[start])))

    def statement(self) -> None:
        token = self.tokens[self.at]
        self.at += 1
        match token.kind:
            case "head":
                name = re.split(r"::=|[.:]", token.text.strip().lstrip("?!"))[0].strip()
                self.in_rule = not self.ebnf and not is_terminal(name)
                self.define(name, self.alternatives(), token.line)
            case "import":
                self.bring(token)
            case "ignore":
                self.in_rule = False
                for part in self.alternatives():
                    self.rules.extend(self.ignored, (self.ignored, *part))
            case _:
                raise self.unexpected(token)

    def define(self, name: str, alternatives: list[Sequence], line: int) -> None:
        if name in self.defined:
            raise ConstraintError(f"line {line} of the grammar defines {cut(name)} a second time")
        self.defined.add(name)
        for alternative in alternatives:
            self.rules.extend(self.number(name), alternative)

    def number(self, name: str) -> int:
        if name not in self.names:
            self.names[name] = self.rules.rule()
        return self.names[name]

    def bring(self, token: Token) -> None:
        """``%import common.X -> Y`` or ``%import common (X, Y)``."""
        path = token.text.removeprefix("%import").split("//")[0].strip()
        one = re.fullmatch(r"common\s*\.\s*(\w+)\s*(?:->\s*(\w+))?", path)
        many = re.fullmatch(r"common\s*\(([\w\s,]*)\)", path)
        if one:
            pairs = [(one[1], one[2] or one[1])]
        elif many:
            pairs = [(name, name) for part in many[1].split(",") if (name := part.strip())]
        else:
            raise ConstraintError(f"line {token.line} of the grammar imports {cut(path)}: only common is at hand")
        for source, name in pairs:
            if source not in COMMON:
                raise ConstraintError(
                    f"line {token.line} of the grammar imports common.{cut(source)}, which is unknown"
                )
            self.define(name, [expression(self.rules, COMMON[source])], token.line)

    def alternatives(self) -> list[Sequence]:
        found = [self.sequence()]
        while self.take("|"):
            found.append(self.sequence())
        return found

    def sequence(self) -> Sequence:
        found: list[int | Chars] = []
        while (token := self.peek()) and token.kind not in ("head", "import", "ignore"):
            if token.text in ("|", ")") or (token.text == "]" and not self.ebnf):
                break
            self.at += 1
            if token.kind == "alias":
                continue
            found += self.repeated(self.atom(token))
        return tuple(found)

    def repeated(self, part: Sequence) -> Sequence:
        while (token := self.peek()) and (token.kind == "count" or token.text in OFTEN):
            self.at += 1
            part = (self.rules.rule(part),) if len(part) > 1 else part
            part = self.rules.times(part, *(OFTEN.get(token.text) or limits(token.text)))
        return part

    def atom(self, token: Token) -> Sequence:
        match token.kind:
            case "name":
                return self.named(token)
            case "string":
                return self.terminal(self.string(token))
            case "regex":
                pattern, _, flags = token.text[1:].rpartition("/")
                return self.terminal(expression(self.rules, pattern.replace("\\/", "/"), flags.replace("l", "")))
            case "set":
                return (char_set(token.text[1:-1]),)
        if token.text in ("(", "["):
            return self.group(token)
        if token.text == "." and self.ebnf:
            return (ANY,)
        raise self.unexpected(token)

    def group(self, token: Token) -> Sequence:
        self.depth += 1
        if self.depth > MAX_NESTED:
            raise ConstraintError(f"the grammar is nested deeper than {MAX_NESTED} levels")
        inside = self.alternatives()
        if not self.take(")" if token.text == "(" else "]"):
            raise ConstraintError(f"the bracket in line {token.line} of the grammar is never closed")
        self.depth -= 1
        return (self.rules.rule(*inside, *([()] if token.text == "[" else [])),)

    def named(self, token: Token) -> Sequence:
        name = token.text.lstrip("!")
        self.asked.setdefault(name, token.line)
        part = (self.number(name),)
        return self.terminal(part) if is_terminal(name) else part

    def string(self, token: Token) -> Sequence:
        text = unescaped(token)
        if not self.ebnf and self.take(".."):
            last = self.peek()
            self.at += 1
            end = unescaped(last) if last and last.kind == "string" else ""
            if len(text) != 1 or len(end) != 1 or end < text:
                raise ConstraintError(
                    f"the range in line {token.line} of the grammar is not from one character to a later"
                )
            return (Chars(((ord(text), ord(end)),)),)
        return self.rules.text(text, token.text.endswith("i"))

    def terminal(self, part: Sequence) -> Sequence:
        return (*part, self.ignored) if self.in_rule else part

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, mark: str) -> bool:
        token = self.peek()
        if token is None or token.kind != "mark" or token.text != mark:
            return False
        self.at += 1
        return True

    def unexpected(self, token: Token) -> ConstraintError:
        return ConstraintError(f"line {token.line} of the grammar has {cut(token.text)} where it cannot stand")


def is_terminal(name: str) -> bool:
    return name.strip("_")[:1].isupper()


def limits(count: str) -> tuple[int, int | None]:
    """``{2}``, ``{2,}``, ``{2,3}``, ``~2``, ``~2..3``."""
    found = re.fullmatch(r"(\d{1,6})(?:(,)(\d{0,6}))?", "".join(count.strip("{}~").replace("..", ",").split()))
    if found is None:
        raise ConstraintError(f"the grammar has the repetition {cut(count)}, which is too large or no range")
    low = int(found[1])
    if not found[2]:
        return low, low
    return low, int(found[3]) if found[3] else None


def unescaped(token: Token) -> str:
    text = token.text.removesuffix("i") if token.text[0] == token.text[-2:-1] else token.text
    return plain(text[1:-1])


def plain(text: str) -> str:
    return "".join(char for char, _ in characters(text))


def characters(text: str) -> Iterator[tuple[str, bool]]:
    """The characters that a text stands for, each with whether it was written as an escape."""
    at = 0
    while at < len(text):
        found = ESCAPE.match(text, at)
        if found is None:
            yield text[at], False
            at += 1
            continue
        code = found[1] or found[2] or found[3]
        if code and int(code, 16) > 0x10FFFF:
            raise ConstraintError(f"the grammar has {found[0]}, which is no character")
        yield (chr(int(code, 16)) if code else CONTROL.get(found[4], found[4])), True
        at = found.end()


def char_set(text: str) -> Chars:
    """The inside of ``[a-z]`` or ``[^\\n]``."""
    negated = text.startswith("^")
    members = list(characters(text[1:] if negated else text))
    ranges: list[tuple[int, int]] = []
    at = 0
    while at < len(members):
        low = high = ord(members[at][0])
        if members[at + 1 : at + 2] == [("-", False)] and at + 2 < len(members):
            high = ord(members[at + 2][0])
            at += 2
        ranges.append((low, high))
        at += 1
    return Chars(tuple(ranges), negated=negated)
