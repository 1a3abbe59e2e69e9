"""YAML text to a tree of nodes that know their lines, within bounds. No tags, no merges, no Python objects."""

import math
import re
from typing import Any

import yaml

from gateway.config.problems import ConfigError, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 50_000

WRONG_KINDS: dict[type[yaml.Node], object] = {yaml.MappingNode: {}, yaml.SequenceNode: []}


class TooMuch(yaml.MarkedYAMLError):
    """The document is legal YAML, and more of it than any configuration needs."""


class Composer(yaml.SafeLoader):
    """Composes nodes and counts them as they come: a hostile file costs no more than an honest one."""

    nodes = 0
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES:
            raise TooMuch(problem=f"more than {MAX_NODES} values", problem_mark=event.start_mark)
        if self.depth > MAX_DEPTH:
            raise TooMuch(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise TooMuch(problem="tags such as !!str are not used here", problem_mark=event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def compose(source: str | bytes, file: str) -> yaml.Node | None:
    """The root of the document; None if there is nothing in it. Raises ConfigError."""
    text = decoded(source, file)
    try:
        loader = Composer(text)
    except yaml.reader.ReaderError as exc:
        line, column = place(text, exc.position)
        message = f"character #x{ord(text[exc.position]):04x} is not allowed in YAML"
        raise ConfigError([Problem(file, line, "", message, column)]) from exc
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark or loader.get_mark()
        raise ConfigError([Problem(file, mark.line + 1, "", said(exc), mark.column + 1)]) from exc
    except (ValueError, OverflowError) as exc:  # a character beyond Unicode, written as "\U99999999"
        mark = loader.get_mark()
        message = "an escape sequence names no character"
        raise ConfigError([Problem(file, mark.line + 1, "", message, mark.column + 1)]) from exc
    finally:
        loader.dispose()


def decoded(source: str | bytes, file: str) -> str:
    if len(source) > MAX_BYTES:
        raise ConfigError([Problem(file, 1, "", f"the file is larger than {MAX_BYTES} bytes")])
    if isinstance(source, str):
        return source
    try:
        return source.decode()
    except UnicodeDecodeError as exc:
        line = source.count(b"\n", 0, exc.start) + 1
        message = "this is not UTF-8 text (save the file as UTF-8)"
        raise ConfigError([Problem(file, line, "", message)]) from exc


def place(text: str, position: int) -> tuple[int, int]:
    """Line and column, from 1, of a position in the text."""
    before = text[:position]
    return before.count("\n") + 1, position - before.rfind("\n")


def said(exc: yaml.MarkedYAMLError) -> str:
    """The parser's complaint, with the usual cause where it has one."""
    problem = exc.problem or "this is not YAML"
    if "'\\t'" in problem:
        return "a tab where YAML wants spaces (indent with spaces)"
    if "mapping values are not allowed" in problem:
        return f"{problem} (indent this line like its neighbours, and quote texts that hold ': ')"
    return ", ".join(part for part in (exc.context, problem) if part)


# Words as YAML 1.2 and the editors' schema read them: in YAML 1.1, which the parser speaks, `no` is a
# boolean, 010 is 8, 1:30 is 90 and 2024-10-21 a date.
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)


def plain(node: yaml.Node) -> object:
    """The value of a scalar; of anything else an empty one of its kind, for a message to complain of."""
    if not isinstance(node, yaml.ScalarNode):
        return WRONG_KINDS[type(node)]
    text: str = node.value
    if node.style:  # quoted, or a block: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return math.inf  # which of them it is does not matter: none is a setting
    return text
