"""TypeScript's declarations of data to JSON Schema.

`interface`, `type`, `enum` and `namespace`, with what describes JSON: no type checker, no functions, no classes. What
is left out is refused with its place and what to write instead. Pure, and bounded in time and space whatever the text.
"""

import msgspec

from gateway.typescript.alternatives import Conflict
from gateway.typescript.declarations import DeclarationParser
from gateway.typescript.definitions import linked
from gateway.typescript.errors import TypeScriptError
from gateway.typescript.lexer import Source
from gateway.typescript.names import Names
from gateway.typescript.resolve import Resolver
from gateway.typescript.schema import Writer
from gateway.typescript.scopes import Scopes

__all__ = ["TypeScriptError", "schema_of"]


def schema_of(text: str, type_name: str) -> msgspec.Raw:
    """The JSON Schema of an exported type, as JSON. Properties stand in the order in which they are declared.

    Objects take no other properties than theirs, and need those that are not optional. The words are draft 7's, which
    are also 2020-12's except for tuples: a schema that has one says ``$schema``. Raises TypeScriptError.
    """
    try:
        return _schema_of(Source(text, has_tails=True), type_name)
    except TypeScriptError:
        # With tails a text is read in less time (plain members in half of it), but only without them can it be said
        # what is wrong and where. So that, and what tails do not reach, is read again.
        return _schema_of(Source(text), type_name)


def _schema_of(source: Source, type_name: str) -> msgspec.Raw:
    names = Names(source, DeclarationParser(source).read())
    scopes = Scopes(source, names)
    writer = Writer(Resolver(source, scopes))
    try:
        root = writer.write(scopes.root(names.root(type_name)))
    except Conflict as exc:
        raise source.error(exc.at, exc.message) from None
    return msgspec.Raw(msgspec.json.encode(linked(root, writer, source)))
