"""Stands in for what Lamini's client imports and a completion never needs: a gigabyte of packages for training and
indexing. Python runs this at its start when this folder is on its path."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ABSENT = frozenset(
    {"azure", "click", "faiss", "jsonlines", "lm_eval", "numpy", "openai", "pandas", "pydantic", "sklearn"}
    | {"sqlalchemy", "sqlglot", "tqdm"}
)


class Anything(type):
    """A class that has every attribute, can be called and inherited from."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class Stub(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in ABSENT else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None: ...


sys.meta_path.insert(0, Finder())
