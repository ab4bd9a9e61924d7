"""The public names, what they are, and what is written about them where they are defined."""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

import attrs
from sphinx.pycode import ModuleAnalyzer

import normdsl as nd

#: Public modules whose members are public as well; rules have a gallery of their own.
MODULES = tuple(
    name for name in nd.__all__ if inspect.ismodule(getattr(nd, name)) and name != "algorithms"
)


@attrs.frozen
class Public:
    """A public name.

    Args:
        name: as users write it, `nd.ema`.
        home: the module that defines it.
        value: what it is.
    """

    name: str
    home: ModuleType
    value: Any = attrs.field(eq=False)

    @property
    def kind(self) -> str:
        """What Sphinx calls it."""
        if inspect.isclass(self.value):
            return "exception" if issubclass(self.value, BaseException) else "class"
        return "function" if _is_function(self.value) else "data"

    @property
    def doc(self) -> str:
        """What is written about it: its own docstring, or the comment before a constant."""
        if self.kind == "data":
            comment = comments(self.home.__name__).get(self.name.rpartition(".")[2], "")
            formula = getattr(self.value, "formula", "")  # of a group: how W moves
            return "\n\n".join(x for x in (formula, comment) if x)
        return inspect.cleandoc(self.value.__doc__ or "")

    @property
    def first(self) -> str:
        """The first sentence of that."""
        return " ".join(self.doc.partition("\n\n")[0].split())


@lru_cache
def comments(module: str) -> dict[str, str]:
    """Return the comments `#:` before the constants of a module, by name."""
    found = ModuleAnalyzer.for_module(module).find_attr_docs()
    return {name: "\n".join(text).strip() for (owner, name), text in found.items() if not owner}


def subjects() -> dict[ModuleType, list[Public]]:
    """Return the public names by where users look for them: the module that a name comes from."""
    found: dict[ModuleType, list[Public]] = {}
    for name, where in sorted(nd._HOMES.items(), key=lambda x: (x[1], x[0].lower())):
        if not name.startswith("__"):
            subject = importlib.import_module(f"normdsl.{where}")
            found.setdefault(subject, []).append(_public(f"nd.{name}", subject))
    return found


def members() -> dict[ModuleType, list[Public]]:
    """Return what users find in each public module, unless it has a shorter name."""
    return {getattr(nd, name): _members(f"nd.{name}", getattr(nd, name)) for name in MODULES}


def _members(name: str, module: ModuleType) -> list[Public]:
    shorter = {id(getattr(nd, x)) for x in nd._HOMES if inspect.isclass(getattr(nd, x))}
    listed = getattr(module, "__all__", dir(module))
    there = [x for x in listed if x != "ALL" and id(getattr(module, x)) not in shorter]
    return [_public(f"{name}.{x}", module) for x in there]


def _public(name: str, module: ModuleType) -> Public:
    last = name.rpartition(".")[2]
    value = getattr(module, last)
    if inspect.isclass(value) or _is_function(value):
        return Public(name, sys.modules[value.__module__], value)
    return Public(name, _defining(module, last), value)


def _is_function(value: Any) -> bool:
    """Return whether it is a function, or an object that stands for one."""
    return inspect.isroutine(value) or inspect.isroutine(getattr(value, "__wrapped__", None))


def _defining(module: ModuleType, name: str) -> ModuleType:
    """Return the module that writes about a constant, or that of a package which hands it on."""
    rooms = [m for n, m in sys.modules.items() if n.startswith(f"{module.__name__}.")]
    return next((m for m in [module, *rooms] if name in comments(m.__name__)), module)


@lru_cache
def classes() -> dict[type, str]:
    """Return the public classes with their names."""
    found = [x for group in (members(), subjects()) for xs in group.values() for x in xs]
    return {x.value: x.name for x in found if inspect.isclass(x.value)}


@lru_cache
def every_name() -> set[str]:
    """Return all public names, those of rules among them."""
    those = [x.name for group in (subjects(), members()) for xs in group.values() for x in xs]
    return {*those, *(f"nd.{x}" for x in MODULES), *(f"nd.algorithms.{x}" for x in rules())}


@lru_cache
def rules() -> set[str]:
    """Return the names of the rules that come along."""
    return set(nd.algorithms.__all__)
