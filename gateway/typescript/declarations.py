"""A text to its declarations: what may stand outside of types, and what is exported."""

from msgspec import Struct

from gateway.typescript.cursor import is_name
from gateway.typescript.errors import shown
from gateway.typescript.lexer import Source
from gateway.typescript.parser import Parser
from gateway.typescript.refusals import STATEMENTS
from gateway.typescript.syntax import (
    Alias,
    Declaration,
    Enum,
    Interface,
    Literal,
    Member,
    Object,
    Parameter,
    Reference,
    Type,
)

NOT_NAMES = frozenset({"any", "bigint", "boolean", "never", "null", "number", "object", "string", "symbol"}) | {
    "undefined",
    "unknown",
    "void",
}


MAX_NAME = 256

DECLARING = frozenset({"interface", "enum", "namespace"})
"""What is no form of export of its own."""

Uses = list[tuple[str, list[tuple[int, str]]]]
"""The names that are used, by the namespace in which they stand."""


class Declarations(Struct, frozen=True, eq=False):
    """All that a text declares, by full name. ``exported`` maps what a type is called outside to its full name."""

    types: dict[str, Declaration]
    exported: dict[str, str]
    uses: Uses


class DeclarationParser(Parser):
    """Reads a whole text."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.types: dict[str, Declaration] = {}
        self.parts: dict[str, list[Interface]] = {}
        """Interfaces that are declared in several parts."""
        self.exported: dict[str, str] = {}
        self.lists: list[tuple[int, str, str]] = []
        """What export lists name: the token, the name, and what it is called outside."""
        self.uses: Uses = []

    def read(self) -> Declarations:
        while token := self.tokens[self.i]:
            if token == ";":
                self.i += 1
            else:
                self.statement("")
        self.take_up("")
        self.types |= {name: self.merged(parts) for name, parts in self.parts.items()}
        for at, name, outside in self.lists:
            if name not in self.types:
                self.fail(f"'{shown(name)}' is exported, but no type of that name is declared", at)
            self.exported[outside] = name
        return Declarations(self.types, self.exported, self.uses)

    def take_up(self, namespace: str) -> None:
        """The names that were used since the last time stand in this namespace."""
        self.uses.append((namespace, self.named))
        self.named = []
        self.tails = self.common_tails()

    # ---- statements

    def statement(self, namespace: str, visible: bool = True) -> None:
        tokens = self.tokens
        doc = self.doc()
        exported = tokens[self.i] == "export"
        if exported:
            self.i += 1
            if tokens[self.i] not in DECLARING:
                if self.export_form(namespace):
                    return
                self.skip("default")
        if tokens[self.i] == "declare":
            self.i += 1
        self.declaration(namespace, doc, exported and visible)

    def declaration(self, namespace: str, doc: int | None, exported: bool) -> None:
        token, after = self.tokens[self.i], self.tokens[self.i + 1]
        if token == "interface" and is_name(after):
            name = self.declare(self.interface(namespace, doc))
        elif token == "type" and is_name(after):
            name = self.declare(self.alias(namespace, doc))
        elif token == "enum" and is_name(after):
            name = self.declare(self.enum(namespace, doc))
        elif token == "const" and after == "enum":
            self.i += 1
            name = self.declare(self.enum(namespace, doc))
        elif token in ("namespace", "module") and is_name(after):
            return self.inside(namespace, exported)
        elif token == ";":
            self.i += 1
            return None
        else:
            self.refuse_statement(token)
        if exported:
            self.exported[name] = name
        return None

    def refuse_statement(self, token: str) -> None:
        if token in STATEMENTS:
            self.fail(STATEMENTS[token])
        if token in ("type", "interface", "enum", "namespace"):
            self.i += 1
            self.fail(f"expected a name after '{token}', found {self.found()}")
        self.fail(f"expected a declaration such as 'export interface X {{ ... }}', found {self.found()}")

    def declare(self, made: Declaration) -> str:
        self.count()
        earlier = self.types.get(made.name)
        if earlier is None:
            self.types[made.name] = made
        elif isinstance(earlier, Interface) and isinstance(made, Interface):
            self.parts.setdefault(made.name, [earlier]).append(made)
        else:
            self.fail(f"'{shown(made.name)}' is declared twice", made.at)
        return made.name

    def merged(self, parts: list[Interface]) -> Interface:
        """An interface that is declared in several parts."""
        first = parts[0]
        members: dict[str, Member] = {}
        index: Type | None = None
        for part in parts:
            if [parameter.name for parameter in part.parameters] != [parameter.name for parameter in first.parameters]:
                self.fail(f"'{shown(first.name)}' is declared twice, with different type parameters", part.at)
            for member in part.body.members.values():
                if member.name in members:
                    self.fail(f"member '{shown(member.name)}' is declared twice", member.at)
                members[member.name] = member
            if index is not None and part.body.index is not None:
                self.fail("an object has at most one index signature", part.at)
            index = part.body.index if index is None else index
        bases = tuple(base for part in parts for base in part.bases)
        doc = next((part.doc for part in parts if part.doc is not None), None)
        body = Object(first.body.at, members, index)
        return Interface(first.at, first.name, body, first.parameters, bases, doc)

    # ---- exports

    def export_form(self, namespace: str) -> bool:
        """``export { A, B as C }`` and ``export default A``; what else begins with ``export`` and declares nothing."""
        token, after = self.tokens[self.i], self.tokens[self.i + 1]
        if token == "type" and after == "{":
            self.i += 1
            token = "{"
        if token == "{":
            if namespace:
                self.fail("export lists are not supported inside a namespace; write 'export' before the declaration")
            self.export_list()
            return True
        if token == "default" and is_name(after) and after not in ("interface", "abstract", "class", "function"):
            self.i += 1
            self.lists.append((self.i, self.name("a type's name"), after))
            return True
        if token in ("*", "=", "import", "as") or (token == "type" and after == "*"):
            self.fail("only 'export' before a declaration, 'export { X }' and 'export default X' are supported")
        return False

    def export_list(self) -> None:
        at = self.i
        self.i += 1
        while not self.skip("}"):
            self.count()
            if self.tokens[self.i] == "type" and is_name(self.tokens[self.i + 1]):
                self.i += 1
            place = self.i
            name = self.name("a type's name")
            outside = self.name("a name after 'as'") if self.skip("as") else name
            self.lists.append((place, name, name if outside == "default" else outside))
            if self.tokens[self.i] != "}":
                self.take(",", "the name")
        if self.tokens[self.i] == "from":
            self.fail("imports are not supported; declare every type in this text", at)

    # ---- declarations

    def alias(self, namespace: str, doc: int | None) -> Alias:
        self.i += 1
        at, name = self.i, self.new_name()
        parameters = self.type_parameters()
        # 'type X { ... }' is accepted: nothing else could be meant.
        if self.tokens[self.i] != "{":
            if self.tokens[self.i] != "=":
                self.fail(f"expected '=' after 'type {shown(name)}', found {self.found()}")
            self.i += 1
        body = self.type()
        self.parameters.clear()
        return Alias(at, self.full_name(namespace, name, at), body, parameters, doc)

    def interface(self, namespace: str, doc: int | None) -> Interface:
        self.i += 1
        at, name = self.i, self.new_name()
        parameters: tuple[Parameter, ...] = ()
        bases: tuple[Reference, ...] = ()
        if self.tokens[self.i] != "{":
            parameters = self.type_parameters()
            bases = self.bases()
            if self.tokens[self.i] == "=":
                self.fail(f"an interface has no '='; write 'interface {shown(name)} {{' or 'type {shown(name)} ='")
            if self.tokens[self.i] != "{":
                self.fail(f"expected '{{' after 'interface {shown(name)}', found {self.found()}")
        body = self.object()
        self.parameters.clear()
        return Interface(at, self.full_name(namespace, name, at), body, parameters, bases, doc)

    def bases(self) -> tuple[Reference, ...]:
        bases: list[Reference] = []
        if self.skip("extends"):
            while not bases or self.skip(","):
                self.count()
                if not is_name(self.tokens[self.i]):
                    self.fail(f"expected a type's name after 'extends', found {self.found()}")
                part = self.reference()
                assert isinstance(part, Reference)
                bases.append(part)
        return tuple(bases)

    def type_parameters(self) -> tuple[Parameter, ...]:
        made: list[Parameter] = []
        if not self.skip("<"):
            return ()
        self.tails = self.common_tails()
        while not made or (self.skip(",") and self.tokens[self.i] != ">"):
            self.count()
            for word in ("const", "in", "out"):
                if self.tokens[self.i] == word and is_name(self.tokens[self.i + 1]):
                    self.i += 1
            at, name = self.i, self.new_name()
            if name in self.parameters:
                self.fail(f"type parameter '{shown(name)}' is declared twice", at)
            if self.skip("extends"):
                self.constraint()
            default: Type | None = self.type() if self.skip("=") else None
            if default is None and made and made[-1].default is not None:
                self.fail(f"type parameter '{shown(name)}' needs a default, like the one before it", at)
            self.parameters.add(name)
            made.append(Parameter(name, default))
        self.take(">", "the type parameters")
        return tuple(made)

    def constraint(self) -> None:
        """What a type argument must be is TypeScript's to check; here it is only read past."""
        before = len(self.named)
        if self.skip("keyof"):
            self.postfix()
        else:
            self.type()
        del self.named[before:]
        self.tails = self.common_tails()

    def enum(self, namespace: str, doc: int | None) -> Enum:
        self.i += 1
        at, name = self.i, self.new_name()
        if self.tokens[self.i] != "{":
            self.take("{", f"'enum {shown(name)}'")
        constants = self.constants(at, name)
        return Enum(at, self.full_name(namespace, name, at), constants, doc=doc)

    def constants(self, at: int, name: str) -> dict[str, Literal]:
        self.i += 1
        constants: dict[str, Literal] = {}
        upcoming: int | float | None = 0
        while not self.skip("}"):
            self.count()
            place, constant = self.i, self.member_name(self.tokens[self.i])
            if constant in constants:
                self.fail(f"'{shown(constant)}' is declared twice", place)
            if self.skip("="):
                made = self.enum_value()
            elif upcoming is None:
                self.fail(f"'{shown(constant)}' needs a value, since the one before it is a text", place)
            else:
                made = Literal(place, upcoming)
            constants[constant] = made
            upcoming = made.value + 1 if isinstance(made.value, int | float) else None
            if self.tokens[self.i] != "}":
                self.take(",", "the constant")
        if not constants:
            self.fail(f"enum '{shown(name)}' has no constants", at)
        return constants

    def enum_value(self) -> Literal:
        token = self.tokens[self.i]
        value = None
        if token[:1] in ('"', "'", "`", "-", ".") or token[:1].isdecimal():
            value = self.primary()
        if not isinstance(value, Literal) or self.tokens[self.i] not in (",", "}"):
            self.fail("an enum's value must be a number or a text; write the result out")
        return value

    def inside(self, around: str, exported: bool) -> None:
        """``namespace N { ... }``"""
        self.deeper()
        self.take_up(around)
        self.i += 1
        namespace = self.full_name(around, self.new_name(), self.i - 1)
        while self.skip("."):
            namespace = self.full_name(namespace, self.new_name(), self.i - 1)
        self.take("{", f"'namespace {shown(namespace)}'")
        self.count()
        while not self.skip("}"):
            if not self.tokens[self.i]:
                self.fail(f"expected '}}' at the end of namespace '{shown(namespace)}', found the end")
            self.statement(namespace, exported)
        self.take_up(namespace)
        self.depth -= 1

    def new_name(self) -> str:
        token = self.tokens[self.i]
        if token in NOT_NAMES:
            self.fail(f"{self.found()} is a type already; choose another name")
        if not is_name(token):
            self.fail(f"expected a name, found {self.found()}")
        self.i += 1
        return token

    def full_name(self, namespace: str, name: str, at: int) -> str:
        full = f"{namespace}.{name}" if namespace else name
        if len(full) > MAX_NAME:
            self.fail(f"a name has at most {MAX_NAME} characters", at)
        return full
