"""The gallery of rules: a page for each family, with formula, verdicts, source and picture."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import normdsl as nd
from normdsl.cli.find import families
from normdsl.compiler.invariance import groups
from website import docstrings, picture

#: The table of verdicts, which `make table` computes.
VERDICTS = Path(__file__).resolve().parents[1] / "rules.md"
#: What the marks of that table mean, and the tone in which the site says so.
WORDS = {
    "yes": ("invariant", "good"),
    "if": ("invariant if …", "qualified"),
    "no": ("not invariant", "bad"),
    "?": ("unknown", "open"),
}
ANSWERS = "What an answer says, and how it was found: [the rules, by family](../rules.md)."


def files() -> dict[str, str]:
    """Return the files of the gallery by name: its pages, and a picture for each rule."""
    found = {"index.md": index()}
    for name, rules in families().items():
        found[f"{_module(rules)}.md"] = family(name, rules)
        found |= {f"{x.name}.svg": picture.svg(x) for x in rules.values()}
    return found


def _module(rules: Mapping[str, nd.Declaration]) -> str:
    return next(iter(rules.values())).module.rpartition(".")[2]


def _title(name: str) -> tuple[str, str]:
    """Return the title of a family and the sentence about it."""
    title, _, rest = name.splitlines()[0].partition(": ")
    return title.rstrip("."), rest[:1].upper() + rest[1:]


def index() -> str:
    """Return the first page: every rule with its picture and its first sentence."""
    lines = [
        "# A gallery of rules",
        "",
        "Every rule of `nd.algorithms`, by family. " + picture.LEGEND,
        "",
        ANSWERS,
    ]
    for name, rules in families().items():
        title, about = _title(name)
        lines += ["", f"## [{title}]({_module(rules)}.md)", "", docstrings.prose(about), ""]
        lines += ["| | rule |", "| --- | --- |"]
        lines += [f"| {_image(x)} | `{x.name}` {_sentence(x)} |" for x in rules.values()]
    pages = sorted(_module(rules) for rules in families().values())
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *pages, "```", ""])


def _image(rule: nd.Declaration) -> str:
    return f"![Five steps of {rule.name}]({rule.name}.svg)"


def _sentence(rule: nd.Declaration) -> str:
    return docstrings.cell(rule.doc.partition("\n\n")[0])


def family(name: str, rules: Mapping[str, nd.Declaration]) -> str:
    """Return the page of a family."""
    title, about = _title(name)
    head = [f"# {title}", docstrings.prose(about), picture.LEGEND, ANSWERS]
    return "\n\n".join([*head, *map(entry, rules.values())]) + "\n"


def entry(rule: nd.Declaration) -> str:
    """Return what is shown of a rule."""
    doc, _, example = rule.doc.partition("Example:\n")
    parts = [
        f"## {rule.name}",
        f"```{{py:data}} nd.algorithms.{rule.name}\n:no-typesetting:\n```",
        docstrings.page(doc),
        rule._repr_latex_(),
        _image(rule),
        answers(rule),
        f"```python\n{source(rule)}\n```",
        docstrings.page("Example:\n" + example),
    ]
    return "\n\n".join(parts)


def answers(rule: nd.Declaration) -> str:
    """Return the verdicts of a rule, by answer, and what a step costs."""
    evaluations, kept, *marks = _cells()[rule.name]
    acting = [g.name for g in groups.several(None, rule.ports)]
    those = {
        key: [
            f"{{py:obj}}`{g} <nd.groups.{g}>`"
            for g, mark in zip(acting, marks, strict=True)
            if mark == key
        ]
        for key in WORDS
    }
    rows = [
        f"| [{word}]{{.{tone}}} | {', '.join(those[key])} |"
        for key, (word, tone) in WORDS.items()
        if those[key]
    ]
    cost = f"evaluations: {evaluations}; numbers kept for each weight: {kept}"
    return "\n".join(["| answer | groups |", "| --- | --- |", *rows, f"| a step | {cost} |"])


@lru_cache
def _cells() -> dict[str, list[str]]:
    """Return the cells of every rule in the table of verdicts, by its name."""
    rows = [x.strip("| ").split(" | ") for x in VERDICTS.read_text("utf-8").splitlines()]
    return {name.strip("`"): cells for name, *cells in rows if name.startswith("`") and cells}


def source(rule: nd.Declaration) -> str:
    """Return the lines that declare a rule, without its docstring."""
    text = inspect.getsource(sys.modules[rule.module])
    found = next(x for x in ast.parse(text).body if getattr(x, "name", "") == rule.qualname)
    assert isinstance(found, ast.FunctionDef)
    lines = text.splitlines()
    start = min(x.lineno for x in found.decorator_list) - 1
    doc = found.body[0]
    return "\n".join([*lines[start : doc.lineno - 1], *lines[doc.end_lineno : found.end_lineno]])
