"""A tree of nodes to Structs, value by value, so that one mistake does not hide the next."""

import math
import re
import types
from collections.abc import Iterable, KeysView
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import yaml
from msgspec import UNSET, Struct

from gateway.config.document import plain
from gateway.config.problems import ConfigError, Path, Problem, dotted, hint, nearest, shown

MAX_VALUES = 100_000
MAX_PROBLEMS = 100

WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "a section",
    "array": "a list",
    "null": "nothing",
}
"""msgspec's names of types, for people."""

KINDS: dict[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    dict: "object",
    list: "array",
    types.NoneType: "null",
}


class Reading:
    """What has been read of a file so far: values that could be made, and what is wrong with the others.

    A bad optional field counts as not given, a bad entry as not there. So the checks that follow see as much
    as can be seen; what they say of a place that is already wrong is dropped.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.structs: dict[Path, Struct] = {}
        self.wrong: dict[Path, Problem] = {}
        self._values = 0
        self._sections: dict[str, dict[str, None]] = {}

    def names(self, section: str) -> KeysView[str]:
        """The entries of a section, also those that are wrong in themselves."""
        return self._sections.get(section, {}).keys()

    def problems(self) -> list[Problem]:
        """In the order of the file."""
        return sorted(self.wrong.values(), key=lambda problem: problem.line)

    def complain(self, path: Path, message: str) -> None:
        """Notes a mistake, at the nearest place above it that has a line. The first one of a place counts."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        self._add(path, Problem(self.file, self.lines.get(known, 1), dotted(path), message))

    def _add(self, path: Path, problem: Problem) -> None:
        self.wrong.setdefault(path, problem)
        if len(self.wrong) >= MAX_PROBLEMS:
            rest = Problem(self.file, problem.line, "", "this is as much as is shown at once")
            raise ConfigError([*self.problems(), rest])

    def value(self, node: yaml.Node, kind: Any, path: Path, line: int) -> Any:
        """The node as that type, or UNSET with a complaint."""
        self._count(line)
        self.lines[path] = line
        if len(path) == 2:
            self._sections.setdefault(str(path[0]), {})[str(path[1])] = None
        bare = bare_type(kind)
        if isinstance(bare, type) and issubclass(bare, Struct):
            return self._struct(node, bare, path)
        if get_origin(bare) is dict:
            return self._dict(node, get_args(bare)[1], path)
        listed = bare if get_origin(bare) is tuple else list_type(kind)
        if listed is not None and (listed is bare or isinstance(node, yaml.SequenceNode)):
            return self._tuple(node, get_args(listed)[0], path)
        return self._scalar(node, kind, path)

    def _count(self, line: int) -> None:
        # References let a small file stand for a huge one, or contain itself.
        self._values += 1
        if self._values > MAX_VALUES:
            message = f"references unfold to more than {MAX_VALUES} values"
            raise ConfigError([Problem(self.file, line, "", message)])

    def _struct(self, node: yaml.Node, kind: type[Struct], path: Path) -> Any:
        entries = self._entries(node, path)
        if entries is None:
            return UNSET
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        missing = [name for name, field in fields.items() if field.required and name not in entries]
        unknown = {name: line for name, (_, line) in entries.items() if name not in fields}
        meant = {self._unknown((*path, name), line, missing, fields) for name, line in unknown.items()}
        made = {
            name: self.value(entries[name][0], field.type, (*path, name), entries[name][1])
            for name, field in fields.items()
            if name in entries
        }
        for name in missing:
            if name not in meant:
                self.complain((*path, name), "is missing")
        if missing or any(made[name] is UNSET for name in made if fields[name].required):
            return UNSET
        self.structs[path] = kind(**{name: value for name, value in made.items() if value is not UNSET})
        return self.structs[path]

    def _unknown(self, path: Path, line: int, missing: list[str], known: Iterable[str]) -> str | None:
        """Complains; says which field was probably meant, so that it is not called missing as well."""
        name = str(path[-1])
        meant = nearest(name, missing) or nearest(name, known)
        self.lines[path] = line
        noun = "field" if len(path) > 1 else "section"
        self.complain(path, f"unknown {noun} {hint(name, [meant] if meant else known)}")
        return meant

    def _dict(self, node: yaml.Node, kind: Any, path: Path) -> Any:
        entries = self._entries(node, path)
        if entries is None:
            return UNSET
        made = {name: self.value(value, kind, (*path, name), line) for name, (value, line) in entries.items()}
        return {name: value for name, value in made.items() if value is not UNSET}

    def _tuple(self, node: yaml.Node, kind: Any, path: Path) -> Any:
        if is_nothing(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.complain(path, f"expected a list, got {kind_of(plain(node))} (begin each item with '- ')")
            return UNSET
        items = enumerate(node.value)
        made = [self.value(item, kind, (*path, i), item.start_mark.line + 1) for i, item in items]
        return tuple(value for value in made if value is not UNSET)

    def _entries(self, node: yaml.Node, path: Path) -> dict[str, tuple[yaml.Node, int]] | None:
        """What a section holds, with lines; None with a complaint if it is none. Nothing is an empty one."""
        if is_nothing(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.complain(path, f"expected a section of 'name: value' lines, got {kind_of(plain(node))}")
            return None
        entries: dict[str, tuple[yaml.Node, int]] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.complain(path, f"the name on line {line} is not plain text")
            elif key.value in entries:
                self._twice(key.value, entries[key.value][1], path, line)
            else:
                entries[key.value] = (value, line)
        return entries

    def _twice(self, name: str, first: int, path: Path, line: int) -> None:
        again = (*path, name, "")  # a place of its own: what stands first may be wrong, too
        message = f"given twice (first on line {first})"
        self._add(again, Problem(self.file, line, dotted((*path, name)), message))

    def _scalar(self, node: yaml.Node, kind: Any, path: Path) -> Any:
        value, choices = plain(node), get_args(bare_type(kind))
        if get_origin(bare_type(kind)) is Literal and isinstance(value, str) and value not in choices:
            self.complain(path, f"'{shown(value)}' is not known {hint(value, choices)}")
            return UNSET
        if isinstance(value, float) and not math.isfinite(value):
            self.complain(path, "must be a finite number")
            return UNSET
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as exc:
            self.complain(path, explained(str(exc), value))
            return UNSET


def bare_type(kind: Any) -> Any:
    """The type without its annotations, and without ``| None``."""
    while get_origin(kind) in (Annotated, Union, types.UnionType):
        inner = [kind.__origin__] if get_origin(kind) is Annotated else get_args(kind)
        kind = next(part for part in inner if part is not types.NoneType)
    return kind


def list_type(kind: Any) -> Any:
    """The list that a value may be beside something else; None if it may be none."""
    if get_origin(kind) is tuple:
        return kind
    inner = [kind.__origin__] if get_origin(kind) is Annotated else get_args(kind) if is_union(kind) else ()
    return next((found for part in inner if (found := list_type(part)) is not None), None)


def is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and plain(node) is None


def kind_of(value: object) -> str:
    return WORDS[KINDS[type(value)]]


def explained(complaint: str, value: object) -> str:
    """What msgspec says, in the words of whoever writes YAML."""
    text = re.sub(
        r"`([\w |]+)`",
        lambda match: " or ".join([WORDS.get(word, word) for word in match[1].removesuffix(" | null").split(" | ")]),
        complaint[:1].lower() + complaint[1:],
    )
    advice = " (put it in quotes)" if "`str" in complaint and isinstance(value, int | float) else ""
    return text + advice
