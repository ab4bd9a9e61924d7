"""Finding a rule by name: one of `normdsl.algorithms`, or `file.py:name` of the user's own."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from normdsl.declaration import Declaration
from normdsl.errors import NormdslError


def shipped() -> dict[str, Declaration]:
    """Return the declarations in `normdsl.algorithms`, found by looking into its modules."""
    package = importlib.import_module("normdsl.algorithms")
    found: dict[str, Declaration] = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        found.update(declared_in(importlib.import_module(module.name)))
    return dict(sorted(found.items()))


def declared_in(module: ModuleType) -> dict[str, Declaration]:
    """Return the declarations a module defines, by name."""
    return {k: v for k, v in vars(module).items() if isinstance(v, Declaration)}


def find(name: str) -> Declaration:
    """Return the rule called `name`, or `file.py:name`.

    Raises:
        NormdslError: if there is no such rule or file.
    """
    path, colon, rule = name.rpartition(":")
    known = declared_in(_load(Path(path))) if colon else shipped()
    wanted = rule if colon else name
    if wanted not in known:
        raise NormdslError(
            f"find the rule {wanted!r}" + (f" in {path}" if colon else ""),
            why="no declaration has that name",
            hint="one of: " + ", ".join(known) if known else "decorate a function by @nd.optimizer",
        )
    return known[wanted]


def _load(path: Path) -> ModuleType:
    """Import a user's file under a name of its own."""
    if not path.is_file():
        raise NormdslError(
            f"open {path}", why="there is no such file", hint="give file.py:name of your rule"
        )
    spec = importlib.util.spec_from_file_location(f"_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise NormdslError(
            f"import {path}", why="it is not a Python file", hint="give file.py:name of your rule"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except NormdslError:
        raise
    except Exception as error:
        raise NormdslError(
            f"import {path}",
            why=f"{type(error).__name__}: {error}",
            hint="run the file with python to see where",
        ) from error
    return module
