"""What a name means: a type of the text, a constant of an enum, or one of TypeScript's own types."""

from gateway.typescript.declarations import Declarations
from gateway.typescript.errors import TypeScriptError, listed, meant, shown
from gateway.typescript.kinds import KEYWORDS
from gateway.typescript.lexer import Source
from gateway.typescript.refusals import TYPES
from gateway.typescript.syntax import Declaration, Enum, Literal

BUILTINS = {
    "Array": 1,
    "Date": 0,
    "Omit": 2,
    "Partial": 1,
    "Pick": 2,
    "Readonly": 1,
    "ReadonlyArray": 1,
    "Record": 2,
    "Required": 1,
}
"""The types that are there without being declared, and how many type arguments they take."""

Meaning = Declaration | Literal | str
"""The constant of an enum is its value; a text is the name of a builtin."""


class Names:
    def __init__(self, source: Source, declarations: Declarations) -> None:
        self._source = source
        self._types = declarations.types
        self._exported = declarations.exported
        self._known: dict[str, dict[str, Meaning]] = {}
        """By namespace and name."""
        for namespace, uses in declarations.uses:
            known = self._known.setdefault(namespace, {})
            for at, name in uses:
                if name not in known:
                    known[name] = self._look_up(namespace, name, at)

    def meaning(self, namespace: str, name: str) -> Meaning:
        """Of a name that the text uses, which has been looked up then; or of a type by its full name."""
        known = self._known.get(namespace, {}).get(name)
        return self._types[name] if known is None else known

    def root(self, type_name: str) -> Declaration:
        """The exported type of that name."""
        full = self._exported.get(type_name)
        if full is not None:
            return self._types[full]
        if type_name in self._types:
            at = self._types[type_name].at
            message = f"'{shown(type_name)}' is declared but not exported; write 'export' before it"
            raise self._source.error(at, message, "type_name")
        if not self._exported:
            message = "the schema exports no type; write 'export' before the type that is wanted"
            raise TypeScriptError(message, None, None, "schema")
        hint = meant(type_name, self._exported) or f"; it exports {listed(self._exported)}"
        raise TypeScriptError(f"the schema has no type '{shown(type_name)}'{hint}", None, None, "type_name")

    def _look_up(self, namespace: str, name: str, at: int) -> Meaning:
        around, found = namespace, self._declared(namespace, name)
        while found is None and around:
            around = around.rpartition(".")[0]
            found = self._declared(around, name)
        if found is None:
            if name in BUILTINS:
                found = name
            elif name in TYPES:
                raise self._source.error(at, TYPES[name])
            else:
                known = (*self._types, *KEYWORDS, *BUILTINS)
                raise self._source.error(at, f"there is no type '{shown(name)}'{meant(name, known)}")
        return found

    def _declared(self, namespace: str, name: str) -> Meaning | None:
        full = f"{namespace}.{name}" if namespace else name
        known = self._types.get(full)
        if known is not None or "." not in full:
            return known
        around, _, last = full.rpartition(".")
        enum = self._types.get(around)
        return enum.constants.get(last) if isinstance(enum, Enum) else None
