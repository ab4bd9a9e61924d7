"""Pages of public names: a chapter for each part of the language, a page for each name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import attrs
import docstrings
import public
from public import Public
from sphinx.util import logging
from sphinx.util.inspect import stringify_signature

import normdsl as nd

_LOG = logging.getLogger(__name__)
#: Chapters, and the rooms whose names they list; a room that is not listed is a chapter itself.
CHAPTERS = {
    "The language": ("expressions", "vocabulary"),
    "Norms": ("norms",),
    "Rules": ("declaration", "declarations"),
    "Invariances": ("compiler.verdicts", "compiler.invariance", "compiler.audit"),
    "Running": ("compiler.runtime", "compiler.routing", "routing"),
    "Schedules": ("schedules",),
    "Errors": ("errors",),
}


def pages() -> dict[str, str]:
    """Return the text of each page by its path below the folder of this reference."""
    found, chapters = {}, _chapters()
    for title, names in chapters.items():
        found[_slug(title)] = chapter(title, names)
        found |= {x.name.removeprefix("nd."): named(x) for x in names}
    for module, names in public.members().items():
        found[_short(module)] = module_page(module, names)
    return {"index": index(list(chapters)), **found}


def _chapters() -> dict[str, list[Public]]:
    found: dict[str, list[Public]] = {title: [] for title in CHAPTERS}
    for subject, names in public.subjects().items():
        room = subject.__name__.removeprefix("normdsl.")
        title = next((t for t, rooms in CHAPTERS.items() if _within(room, rooms)), None)
        found.setdefault(title or room.partition(".")[0].capitalize(), []).extend(names)
    return found


def _within(room: str, rooms: tuple[str, ...]) -> bool:
    return any(room == x or room.startswith(f"{x}.") for x in rooms)


def _slug(title: str) -> str:
    return "chapter-" + title.lower().replace(" ", "-")


def _short(module: Any) -> str:
    return next(x for x in public.MODULES if getattr(nd, x) is module)


def index(titles: list[str]) -> str:
    """Return the first page of the reference."""
    return "\n".join([
        "# Public names",
        "",
        "What `import normdsl as nd` offers. Each name has a page: formula, arguments, errors, and an",
        "example, which the tests run. The rules of `nd.algorithms` are in [the gallery](../gallery/index.md).",
        "",
        "```{toctree}",
        ":maxdepth: 1",
        "",
        *map(_slug, titles),
        *public.MODULES,
        "```",
    ])  # fmt: skip


def chapter(title: str, names: list[Public]) -> str:
    """Return the page that lists the names of a chapter, by the module that each comes from."""
    lines = [f"# {title}"]
    for x in names:
        lines += [f"| {_link(x)} | {docstrings.cell(x.first)} |"]
    head = [lines[0], "", "| name | |", "| --- | --- |", *lines[1:]]
    tree = [x.name.removeprefix("nd.") for x in names]
    return "\n".join([*head, "", "```{toctree}", ":hidden:", "", *tree, "```"])


def _link(x: Public) -> str:
    return f"`{x.name}`"


def named(x: Public) -> str:
    """Return the page of a name."""
    return "\n".join([f"# {x.name}", "", described(x)])


def module_page(module: Any, names: list[Public]) -> str:
    """Return the page of a public module, with all of its members."""
    name = f"nd.{_short(module)}"
    head = [f"# {name}", "", f"```{{py:module}} {name}", "```", ""]
    head += ["```{py:currentmodule} None", "```", ""]  # names below are whole
    lines = [*head, docstrings.page(inspect.cleandoc(module.__doc__ or ""))]
    return "\n".join([*lines, *(f"\n## {x.name}\n\n{described(x)}" for x in names)])


def described(x: Public) -> str:
    """Return what is said about a name: its signature, its docstring, the methods of a class."""
    require(x.name, x.doc)
    head = f"{x.name}{signature(x.value)}" if x.kind != "data" else x.name
    body = [docstrings.page(x.doc, arguments(x.value))]
    if x.kind == "class":
        body += [_method(f"{x.name}.{name}", value) for name, value in methods(x.value)]
    if x.kind == "data":
        body += [_value(x.value)]
    return _directive("py:" + x.kind, head, "\n\n".join(body), fence=7)


def require(name: str, doc: str) -> None:
    """Warn of a public name of which nothing is written, so that the build fails."""
    if not doc.strip():
        _LOG.warning("%s is public and has no docstring", name, type="normdsl", subtype="undocumented")


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class, its own and those of our bases."""
    seen = set()
    for base in (x for x in cls.__mro__ if x.__module__.startswith("normdsl")):
        for name, value in vars(base).items():
            called = isinstance(value, property | cached_property | classmethod | staticmethod)
            if (called or inspect.isroutine(value)) and name[0] != "_" and name not in seen:
                seen.add(name)
                yield name, value


def _method(name: str, value: Any) -> str:
    plain = getattr(value, "__func__", None) or getattr(value, "func", value)
    doc = inspect.getdoc(plain) or ""
    require(name, doc)
    if isinstance(value, property | cached_property):
        return _directive("py:property", name, docstrings.page(doc), fence=5)
    bound = not isinstance(value, staticmethod)
    body = docstrings.page(doc, arguments(plain))
    return _directive("py:method", name + signature(plain, bound), body, fence=5)


def signature(value: Any, bound: bool = False) -> str:
    """Return a signature as it is written in the source, without types that say nothing."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "()"
    shown = [p.replace(annotation=_type(p.annotation), default=_default(p.default))
             for p in list(found.parameters.values())[bound:]]
    result = _type(found.return_annotation)
    return stringify_signature(found.replace(parameters=shown, return_annotation=result))


def _type(annotation: Any) -> Any:
    return inspect.Parameter.empty if annotation in ("Any", "None", None) else annotation


def _default(value: Any) -> Any:
    return ... if value is attrs.NOTHING else value


def arguments(value: Any) -> list[str]:
    """Return the names of the arguments of a function or class."""
    try:
        return list(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return []


def _value(value: Any) -> str:
    """Return what a constant is: its formula, or its text."""
    if hasattr(value, "_repr_latex_"):
        return str(value._repr_latex_())
    return "" if hasattr(value, "__metadata__") else f"```text\n{value}\n```"


def _directive(kind: str, head: str, body: str, fence: int) -> str:
    ticks = "`" * fence
    return f"{ticks}{{{kind}}} {head}\n\n{body}\n{ticks}"
