"""Pages of public names: a chapter for each part of the language, a page for each name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import ModuleType
from typing import Any

import attrs
from sphinx.util import logging
from sphinx.util.inspect import stringify_signature

import normdsl as nd
from website import docstrings, public
from website.public import Public

#: Letters of a default that is written out.
LONGEST = 60
_LOG = logging.getLogger(__name__)
#: Chapters, and the rooms whose names they list; a room that is not listed is a chapter itself.
CHAPTERS = {
    "The language": ("expressions", "vocabulary"),
    "Norms": ("norms",),
    "Rules": ("declaration", "declarations"),
    "Invariances": ("compiler.verdicts", "compiler.invariance", "compiler.audit"),
    "Running": (
        "compiler.layouts",
        "compiler.evaluations",
        "compiler.runtime",
        "compiler.routing",
        "routing",
    ),
    "Schedules": ("schedules",),
    "Errors": ("errors",),
}


def pages() -> dict[str, str]:
    """Return the text of each page by its path below the folder of this reference."""
    found, chapters = {}, _chapters()
    for title, subjects in chapters.items():
        found[_slug(title)] = chapter(title, subjects)
        names = [x for those in subjects.values() for x in those]
        found |= {x.name.removeprefix("nd."): named(x, title) for x in names}
    for module, names in public.members().items():
        found[_short(module)] = module_page(module, names)
    return {"index": index(chapters), **found}


def _chapters() -> dict[str, dict[ModuleType, list[Public]]]:
    """Return the subjects of each chapter, with their names."""
    found: dict[str, dict[ModuleType, list[Public]]] = {title: {} for title in CHAPTERS}
    for subject, names in public.subjects().items():
        room = subject.__name__.removeprefix("normdsl.")
        title = next((t for t, rooms in CHAPTERS.items() if _within(room, rooms)), None)
        found.setdefault(title or room.partition(".")[0].capitalize(), {})[subject] = names
    return found


def _within(room: str, rooms: tuple[str, ...]) -> bool:
    return any(room == x or room.startswith(f"{x}.") for x in rooms)


def _slug(title: str) -> str:
    return "chapter-" + title.lower().replace(" ", "-")


def _short(module: ModuleType) -> str:
    return next(x for x in public.MODULES if getattr(nd, x) is module)


def index(chapters: Mapping[str, Mapping[ModuleType, list[Public]]]) -> str:
    """Return the first page of the reference: all names, by chapter."""
    lines = [
        "# Public names",
        "",
        "What `import normdsl as nd` offers. Each name has a page: formula, arguments, errors, and",
        "an example, which the tests run. Rules are in [the gallery](../gallery/index.md).",
    ]
    for title, subjects in chapters.items():
        names = [x for those in subjects.values() for x in those]
        lines += _listed(f"[{title}]({_slug(title)}.md)", names)
    for module, names in public.members().items():
        lines += _listed(f"[nd.{_short(module)}]({_short(module)}.md)", names)
    pages = [*map(_slug, chapters), *public.MODULES]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *pages, "```"])


def _listed(title: str, names: list[Public]) -> list[str]:
    return ["", f"## {title}", "", ",\n".join(f"`{x.name}`" for x in names)]


def chapter(title: str, subjects: Mapping[ModuleType, list[Public]]) -> str:
    """Return the page that lists the names of a chapter, by what their modules are about."""
    lines = [f"# {title}"]
    for subject, names in subjects.items():
        about = (subject.__doc__ or "").split("\n\n")[0]
        lines += ["", docstrings.prose(about), "", "| name | what it is |", "| --- | --- |"]
        lines += [f"| `{x.name}` | {docstrings.cell(x.first)} |" for x in names]
    return "\n".join(lines)


def named(x: Public, title: str) -> str:
    """Return the page of a name, which its chapter leads to; the table of contents is short."""
    head = ["---", "orphan: true", "---", f"# {x.name}", "", f"In [{title}]({_slug(title)}.md)."]
    return "\n".join([*head, "", described(x)])


def module_page(module: ModuleType, names: list[Public]) -> str:
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
    # Its heading is in the contents of the page already.
    text = "\n\n".join([":no-contents-entry:", *body])
    return _directive(f"py:{x.kind}", head, text, fence=7)


def require(name: str, doc: str) -> None:
    """Warn of a public name of which nothing is written, so that the build fails."""
    if not doc.strip():
        _LOG.warning(
            "%s is public and has no docstring", name, type="normdsl", subtype="undocumented"
        )


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
    made = _made(value)
    shown = [
        p.replace(annotation=_type(p.annotation), default=_short_form(made.get(p.name, p.default)))
        for p in list(found.parameters.values())[bound:]
    ]
    result = _type(found.return_annotation)
    return stringify_signature(found.replace(parameters=shown, return_annotation=result))


def _type(annotation: Any) -> Any:
    return inspect.Parameter.empty if annotation in ("Any", "None", None) else annotation


def _made(value: Any) -> dict[str, Any]:
    """Return the defaults that a class makes anew for each of its instances, by name."""
    fields = attrs.fields(value) if inspect.isclass(value) and attrs.has(value) else ()
    made = {f.name: f.default for f in fields if isinstance(f.default, attrs.Factory)}
    return {name: x.factory() for name, x in made.items() if not x.takes_self}


class _Text(str):
    """What is written as it stands."""

    __slots__ = ()
    __repr__ = str.__str__


def _short_form(value: Any) -> Any:
    """Return a default as it is written, or dots for one that would fill a line."""
    return _Text("…") if len(repr(value)) > LONGEST else value


def arguments(value: Any) -> list[str]:
    """Return the names of the arguments of a function or class."""
    try:
        return list(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return []


def _value(value: Any) -> str:
    """Return what a constant is: its formula or text, and the public class that it belongs to."""
    known = public.classes()
    kind = next((known[c] for c in type(value).__mro__ if c in known), None)
    parts = [f"Its class: `{kind}`."] if kind else []
    if hasattr(value, "_repr_latex_"):
        parts += [str(value._repr_latex_())]
    elif not hasattr(value, "__metadata__"):
        parts += [f"```text\n{value}\n```"]
    return "\n\n".join(parts)


def _directive(kind: str, head: str, body: str, fence: int) -> str:
    ticks = "`" * fence
    return f"{ticks}{{{kind}}} {head}\n{body}\n{ticks}"
