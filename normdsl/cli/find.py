"""Finding a rule by name: one of `normdsl.algorithms`, or `file.py:name` of the user's own."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from normdsl.declaration import Declaration
from normdsl.errors import NormdslError
from normdsl.near import did_you_mean, nearest


def shipped() -> dict[str, Declaration]:
    """Return the declarations in `normdsl.algorithms`, found by looking into its modules."""
    return dict(sorted(x for rules in families().values() for x in rules.items()))


def families() -> dict[str, dict[str, Declaration]]:
    """Return the same by family: the module they are in, by what its docstring begins with."""
    package = importlib.import_module("normdsl.algorithms")
    names = [m.name for m in pkgutil.iter_modules(package.__path__, package.__name__ + ".")]
    modules = [importlib.import_module(name) for name in names]
    return {(m.__doc__ or m.__name__).split("\n\n")[0]: declared_in(m) for m in modules}


def declared_in(module: ModuleType) -> dict[str, Declaration]:
    """Return the declarations a module defines, by name."""
    return {k: v for k, v in vars(module).items() if isinstance(v, Declaration)}


def find(name: str) -> Declaration:
    """Return the rule called `name`, or `file.py:name`, or the only one of `file.py`.

    Raises:
        NormdslError: if there is no such rule or file, or if a file has several.
    """
    found = find_all(name)
    if len(found) > 1:
        raise NormdslError(
            f"choose a rule of {name}",
            why=f"there are {len(found)} in it",
            hint="write " + ", or ".join(f"{name}:{rule.name}" for rule in found),
        )
    return found[0]


def find_all(name: str) -> list[Declaration]:
    """Return the rule of a name, or of `file.py:name`; of `file.py`, all that it declares.

    Raises:
        NormdslError: if there is no such rule or file.
    """
    path, colon, wanted = (name, "", "") if name.endswith(".py") else name.rpartition(":")
    in_file = bool(colon) or name.endswith(".py")
    known = declared_in(_load(Path(path))) if in_file else shipped()
    found = [known[wanted]] if wanted in known else [] if wanted else list(known.values())
    if not found:
        raise NormdslError(
            "find " + (f"the rule {wanted!r}" if wanted else "a rule") + f" in {path}" * in_file,
            why="there is no rule of that name" if wanted else "it declares no rule",
            hint=_meant(wanted, known, in_file),
        )
    return found


def _meant(wanted: str, known: Mapping[str, Declaration], in_file: bool) -> str:
    """Return what to do about a name that is no rule: there are too many of ours to list."""
    if not known:
        return "write @nd.optimizer above a function in the file"
    if in_file:
        return did_you_mean(wanted, known, "the rules are")
    meant, listed = nearest(wanted, known), "normdsl list prints all there are"
    return listed if meant is None else f"did you mean {meant}? {listed}"


def _load(path: Path) -> ModuleType:
    """Import a user's file under a name of its own."""
    if not path.is_file():
        raise NormdslError(
            f"open {path}", why="there is no such file", hint="give file.py:name of your rule"
        )
    spec = importlib.util.spec_from_file_location(f"_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise NormdslError(
            f"import {path}",
            why="its name does not end in .py",
            hint="give file.py:name of your rule",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with _as_a_program(path):
            spec.loader.exec_module(module)
    except NormdslError:
        raise
    except (Exception, SystemExit) as error:
        raise NormdslError(
            f"import {path}",
            why=f"{type(error).__name__}: {error}",
            hint="run the file with python to see where",
        ) from error
    return module


@contextmanager
def _as_a_program(path: Path) -> Iterator[None]:
    """Let a file import its neighbours and see its own arguments, as when python runs it."""
    folder = path.resolve().parent
    for name in [name for name, home in _NEIGHBOURS.items() if home != folder]:
        sys.modules.pop(name, None)
        del _NEIGHBOURS[name]
    before = sys.path[:], sys.argv, set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.argv = [str(path)]
    try:
        yield
    finally:
        sys.path[:], sys.argv, known = before
        new = sys.modules.keys() - known
        _NEIGHBOURS.update({name: folder for name in new if _lies_in(folder, name)})


#: Modules that users' files imported from beside them, with their folder: the files of another
#: folder may have neighbours of the same names.
_NEIGHBOURS: dict[str, Path] = {}


def _lies_in(folder: Path, name: str) -> bool:
    """Return whether a module, or the package it is in, is a neighbour in a folder."""
    file = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
    place = Path(file or "").resolve()
    return folder == (place.parent.parent if place.name == "__init__.py" else place.parent)
