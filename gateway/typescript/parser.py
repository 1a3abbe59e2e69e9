"""Tokens to types, by recursive descent: one method for each rule of the grammar."""

from typing import NoReturn, cast

from gateway.typescript.budget import CHARACTERS_PER_PART
from gateway.typescript.cursor import MAX_DEPTH, MAX_MEMBERS, Cursor, is_name
from gateway.typescript.errors import shown
from gateway.typescript.kinds import CONSTANTS, KEYWORDS
from gateway.typescript.lexer import Source
from gateway.typescript.literals import HOLE, TEMPLATE
from gateway.typescript.refusals import ONLY_DATA, OPERATORS
from gateway.typescript.syntax import (
    Array,
    Closed,
    Element,
    Intersection,
    Keyword,
    KeywordName,
    Literal,
    Member,
    Members,
    Object,
    Reference,
    Template,
    Tuple,
    Type,
    Union,
)
from gateway.typescript.tails import BEGINNINGS, COMMON, ENDS, Tail, tail

MAX_PARTS = 1_000

COLONS = frozenset({":", "?"})
AFTER = frozenset({";", ",", "}", ")", ">"})
"""What usually stands after a type."""
QUOTES = frozenset({"'", '"'})
WORDS = CONSTANTS.keys() | OPERATORS.keys()
MODIFIERS = frozenset({"abstract", "accessor", "declare", "override", "private", "protected", "public", "static"})


class Parser(Cursor):
    """Reads types."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.parameters: set[str] = set()
        self.mentioned = 0
        """How often a type parameter has been named so far."""
        self.named: list[tuple[int, str]] = []
        """The other names so far, with their tokens."""
        self.tails = self.common_tails()

    def common_tails(self) -> dict[str, Tail]:
        """Those that say the same everywhere."""
        return COMMON.copy() if self.source.has_tails else {}

    # ---- types

    def type(self) -> Type:
        """A union, or what stands between its bars."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.refuse_depth()
        at = self.i
        tokens = self.tokens
        if tokens[at] == "|":
            self.i = at + 1
        part = self.intersection()
        if tokens[self.i] not in AFTER:
            part = self.union(at, part)
        self.depth -= 1
        return part

    def union(self, at: int, first: Type) -> Type:
        """What goes on after its first part, if it does."""
        parts = [first]
        tokens = self.tokens
        while tokens[self.i] == "|":
            self.i += 1
            parts.append(self.intersection())
            if len(parts) > MAX_PARTS:
                self.fail(f"a union has at most {MAX_PARTS} parts")
        if tokens[self.i] == "extends":
            self.fail("conditional types are not supported; write the union out")
        return Union(at, tuple(parts)) if len(parts) > 1 else first

    def intersection(self) -> Type:
        at = self.i
        tokens = self.tokens
        if tokens[at] == "&":
            self.i = at + 1
        part = self.primary()
        return part if tokens[self.i] in AFTER else self.meeting(at, part)

    def meeting(self, at: int, part: Type) -> Type:
        """What goes on after its first part, if it does."""
        if self.tokens[self.i] == "[":
            part = self.brackets(part)
        if self.tokens[self.i] != "&":
            return part
        parts = [part]
        while self.skip("&"):
            parts.append(self.postfix())
            if len(parts) > MAX_PARTS:
                self.fail(f"an intersection has at most {MAX_PARTS} parts")
        return Intersection(at, tuple(parts))

    def postfix(self) -> Type:
        part = self.primary()
        return self.brackets(part) if self.tokens[self.i] == "[" else part

    def brackets(self, part: Type) -> Type:
        """What stands before ``[]``, once or several times."""
        tokens = self.tokens
        before = self.depth
        while tokens[self.i] == "[" and not self.source.breaks_before(self.i):
            self.deeper()
            if tokens[self.i + 1] != "]":
                self.fail("indexed access types are not supported; write the member's type out")
            self.i += 2
            part = Array(part.at, part)
        self.depth = before
        return part

    def primary(self) -> Type:
        at = self.i
        token = self.tokens[at]
        if token == "{":
            return self.object()
        if token in KEYWORDS:
            self.i = at + 1
            self.refuse_predicate()
            return Keyword(at, cast(KeywordName, token))
        first = token[:1]
        if first in QUOTES:
            return Literal(at, self.text())
        if token in WORDS:
            return self.operator(token) if token in OPERATORS else self.constant(token)
        if is_name(token):
            return self.reference()
        if token == "[":
            return self.tuple()
        if token == "(":
            return self.parenthesised()
        if token == "-" or first.isdecimal() or (first == "." and token[1:2].isdecimal()):
            return Literal(at, self.number())
        if first == "`":
            return self.template()
        if token == "<":
            self.fail(f"function types are not supported; {ONLY_DATA}")
        self.fail(f"expected a type, found {self.found()}")

    def constant(self, token: str) -> Literal:
        self.i += 1
        return Literal(self.i - 1, CONSTANTS[token])

    def operator(self, token: str) -> Type:
        """``readonly``, or one of those that we do not have, unless it is just a name."""
        at = self.i
        if token == "readonly":
            self.i += 1
            part = self.postfix() if self.tokens[self.i] != "readonly" else None
            if not isinstance(part, Array | Tuple):
                self.fail("'readonly' stands before a list type such as string[] or [string, number]", at)
            return part
        self.fail(OPERATORS[token])

    def refuse_predicate(self) -> None:
        if self.tokens[self.i] == "is" and not self.source.breaks_before(self.i):
            self.fail(f"type predicates are not supported; {ONLY_DATA}")

    def reference(self) -> Type:
        at = self.i
        name = self.dotted()
        self.mention(at, name)
        self.refuse_predicate()
        return Reference(at, name, self.arguments() if self.tokens[self.i] == "<" else ())

    def mention(self, at: int, name: str) -> None:
        if name in self.parameters:
            self.mentioned += 1
        else:
            self.named.append((at, name))

    def dotted(self) -> str:
        name = self.tokens[self.i]
        self.i += 1
        while self.tokens[self.i] == ".":
            self.i += 1
            name = f"{name}.{self.name('a name after the dot')}"
        return name

    def arguments(self) -> tuple[Type, ...]:
        self.take("<", "the name")
        arguments: list[Type] = []
        while not arguments or self.skip(","):
            self.count()
            before = self.mentioned
            part = self.type()
            arguments.append(part if self.mentioned > before else Closed(part.at, part))
        self.take(">", "the type arguments")
        return tuple(arguments)

    def parenthesised(self) -> Type:
        at = self.i
        after, later = self.tokens[at + 1], self.tokens[at + 2]
        if after in (")", "...") or (is_name(after) and later in (":", ",", "?")):
            self.fail(f"function types are not supported; {ONLY_DATA}")
        self.i += 1
        part = self.type()
        self.take(")", "the type in parentheses")
        if self.tokens[self.i] == "=>":
            self.fail(f"function types are not supported; {ONLY_DATA}", at)
        return part

    # ---- literals

    def template(self) -> Type:
        at = self.i
        token = self.tokens[at]
        if not TEMPLATE.fullmatch(token):
            self.fail("a template begins here and does not end; close it with `")
        parts: list[str | Type] = []
        start, end = 1, len(token) - 1
        while hole := HOLE.match(token, start, end):
            parts.append(self.unescaped(hole[1]))
            close = token.find("}", hole.end(), end)
            if close < 0:
                self.fail("'${' in a template must be closed with '}'")
            parts.append(self.hole(at, hole.end(), close))
            start = close + 1
        parts.append(self.unescaped(token[start:end]))
        self.i = at + 1
        return Template(at, tuple(parts)) if len(parts) > 1 else Literal(at, cast(str, parts[0]))

    def hole(self, at: int, start: int, end: int) -> Type:
        self.count()
        self.i = self.source.splice(at, start, end)
        part = self.type()
        if self.tokens[self.i]:
            self.fail(f"expected '}}' after the type in the template, found {self.found()}")
        return part

    # ---- lists and objects

    def tuple(self) -> Type:
        at = self.i
        self.i += 1
        elements: list[Element] = []
        while not self.skip("]"):
            self.count()
            elements.append(self.element())
            if self.tokens[self.i] != "]":
                self.take(",", "a tuple's element")
        return Tuple(at, tuple(elements))

    def element(self) -> Element:
        rest = self.skip("...")
        name = None
        token, after = self.tokens[self.i], self.tokens[self.i + 1]
        if is_name(token) and (after == ":" or (after == "?" and self.tokens[self.i + 2] == ":")):
            name = token
            self.i += 1
        optional = name is not None and self.skip("?")
        if name is not None:
            self.take(":", "the element's name")
        part = self.type()
        optional = (name is None and self.skip("?")) or optional
        if rest and optional:
            self.fail("a rest element cannot be optional: it may be empty as it is", part.at)
        return Element(part, name, optional, rest)

    def object(self) -> Object:
        at = self.i
        members: Members = {}
        index: Type | None = None
        tokens, spaces, tails = self.tokens, self.spaces, self.tails
        i = at + 1
        while True:
            after = tokens[i + 1]
            known = tails.get(after)
            if known is None and after[:2] in BEGINNINGS:
                known = self.tail(i)
            if known is not None:
                name = tokens[i]
                if name in members or not is_name(name):
                    self.fail("this is no member with a tail")
                doc = i if "/**" in spaces[i] else None
                members[name] = Member(i, name, known.type, known.optional, doc, known.made)
                i += 2
            elif tokens[i] == "}":
                break
            else:
                self.i = i
                index = self.member(members, index)
                i = self.i
        self.i = i + 1
        if tails and members:
            self.check_tails(members)
        return Object(at, members, index)

    def check_tails(self, members: Members) -> None:
        """Whether they may be too many, too deep, or have names that count: then each has to be looked at."""
        self.counted += len(members)
        long = len(max(members, key=len)) >= CHARACTERS_PER_PART
        if long or self.counted > MAX_MEMBERS or self.depth + 2 > MAX_DEPTH:
            self.fail("these members must be read without tails")

    def tail(self, at: int) -> Tail:
        """What the tail of a member says."""
        text = self.tokens[at + 1]
        known = self.tails.get(text)
        if known is None:
            known = tail(text, at, self.mention)
            if known is None or (type(known.type) is Union and len(known.type.parts) > MAX_PARTS):
                self.fail("this is no tail")
            # A union is known by its address, and a parameter must be mentioned each time.
            if type(known.type) is not Union and not self.parameters:
                self.tails[text] = known
        return known

    def member(self, members: Members, index: Type | None) -> Type | None:
        """A member, or an index signature, with its end. Returns the type of the index signature, if there is one."""
        tokens = self.tokens
        token, after = tokens[self.i], tokens[self.i + 1]
        if token == "[" or (token == "readonly" and after == "["):
            self.skip("readonly")
            if index is not None:
                self.fail("an object has at most one index signature")
            index = self.index()
        else:
            self.count()
            doc = self.doc()
            if after not in COLONS:
                if token == "readonly" and after not in ENDS and after not in ("}", "(", "<"):
                    self.i += 1
                    token, after = after, tokens[self.i + 1]
                else:
                    self.refuse_member(token, after)
            at = self.i
            if after[:2] in BEGINNINGS and is_name(token) and token not in members:
                known = self.tail(at)
                members[token] = Member(at, token, known.type, known.optional, doc, known.made)
                self.i += 2
                return index
            name = self.member_name(token)
            optional = self.skip("?")
            if tokens[self.i] != ":":
                self.refuse_untyped(name)
            self.i += 1
            if name in members:
                self.fail(f"member '{shown(name)}' is declared twice", at)
            members[name] = Member(at, name, self.type(), optional, doc)
        token = tokens[self.i]
        if token in ENDS:
            self.i += 1
        elif token != "}" and not self.source.breaks_before(self.i):
            self.fail(f"expected '{';' if token else '}'}' after the member, found {self.found()}")
        return index

    def member_name(self, token: str) -> str:
        if is_name(token):
            self.i += 1
            return token
        if token[:1] in ("'", '"') and token:
            return self.text()
        if token[:1].isdecimal() or (token[:1] == "." and token[1:2].isdecimal()):
            return str(self.number())
        if token == "...":
            self.fail("members cannot be spread; write 'extends B', or 'B & { ... }'")
        self.fail(f"expected a member's name or '}}', found {self.found()}")

    def refuse_member(self, token: str, after: str) -> None:
        """What begins like a member and is none."""
        if token in ("(", "<") or (token == "new" and after == "("):
            self.fail(f"call signatures are not supported; {ONLY_DATA}")
        if token in ("+", "-"):
            self.fail("mapped types are not supported; write the members out")
        if token in ("get", "set") and is_name(after):
            self.fail(f"accessors are not supported; write '{shown(after)}: ' and its type")
        if token in MODIFIERS and is_name(after):
            self.fail(f"'{token}' belongs to classes; leave it out")

    def refuse_untyped(self, name: str) -> NoReturn:
        token = self.tokens[self.i]
        if token in ("(", "<"):
            self.fail(f"'{shown(name)}' is a method; {ONLY_DATA}")
        self.fail(f"expected ':' and a type after '{shown(name)}', found {self.found()}")

    def index(self) -> Type:
        """``[key: string]: T``"""
        self.count()
        at = self.i
        self.i += 1
        token, after = self.tokens[at + 1], self.tokens[at + 2]
        if after == "in":
            self.fail('mapped types are not supported; write the members out, or use Record<"a" | "b", T>', at)
        if not is_name(token) or after != ":":
            self.fail("computed names are not supported; write the member's name, or [key: string]", at)
        self.i += 2
        key = self.tokens[self.i]
        if key not in ("string", "number"):
            self.fail("an index signature's key must be string or number")
        self.i += 1
        self.take("]", "the index signature's key")
        self.take(":", "the index signature")
        return self.type()
