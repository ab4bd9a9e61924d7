"""Docstrings as pages: prose in Markdown, arguments and errors as fields, examples as code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence

import normdsl as nd

_SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Example):$", re.MULTILINE)
_CODE = re.compile(r"(`+[^`]+`+)")
#: Pages that prose mentions; those that are made of docstrings lie one folder deeper.
_PAGE = re.compile(r"docs/(\w+\.md)")
#: What Markdown would read as its own in a formula.
_MARKS = re.compile(r"([\\*_<>\[\]$|~])")


def page(doc: str, arguments: Sequence[str] = ()) -> str:
    """Return a docstring as Markdown.

    Args:
        doc: the docstring, without its indentation.
        arguments: names of arguments, which tell where the description of the next one begins.
    """
    head, *rest = _SECTION.split(doc)
    parts = [prose(head)]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        body, after = _indented(body.strip("\n"))
        parts += [_SHOWN[title](textwrap.dedent(body), arguments), prose(after)]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def prose(text: str) -> str:
    """Return text with every mark of a formula kept from being one of Markdown."""
    blocks = text.strip("\n").split("\n\n")
    return "\n\n".join(b if b.startswith("    ") else _escaped(b) for b in blocks)


def cell(text: str) -> str:
    """Return text as it stands in a cell of a table, where a bar in code is escaped as well."""
    pieces = _CODE.split(" ".join(text.split()))
    code = (x.replace("|", "\\|") for x in pieces[1::2])
    return "".join(
        x for pair in zip(map(_escaped, pieces[::2]), [*code, ""], strict=True) for x in pair
    )


def _escaped(text: str) -> str:
    pieces = _CODE.split(text)
    pieces[::2] = [_PAGE.sub(r"[docs/\1](../\1)", _MARKS.sub(r"\\\1", x)) for x in pieces[::2]]
    return "".join(pieces)


def _indented(text: str) -> tuple[str, str]:
    """Return the lines that are indented, and what comes after them."""
    lines = text.split("\n")
    ends = (k for k, line in enumerate(lines) if line and not line.startswith(" "))
    end = next(ends, len(lines))
    return "\n".join(lines[:end]), "\n".join(lines[end:])


def _entries(body: str) -> Iterator[tuple[str, str]]:
    """Yield names with their descriptions, of lines `name: description`."""
    for entry in re.split(r"\n(?! )", body.strip("\n")):
        name, _, text = entry.partition(": ")
        yield name, " ".join(text.split())


def _arguments(body: str, arguments: Sequence[str]) -> str:
    """Return the arguments as fields; short ones share a line in the source."""
    lines = []
    for name, text in _entries(body):
        # What follows a full stop and is the name of an argument begins a description.
        known = "|".join(map(re.escape, arguments)) or "(?!)"
        first, *rest = re.split(rf"(?<=[.;?]) ((?:{known})): ", text)
        pairs = zip([name, *rest[::2]], [first, *rest[1::2]], strict=True)
        lines += [f":param {one}: {_escaped(words)}" for one, words in pairs]
    return "\n".join(lines)


def _raised(body: str, _: Sequence[str]) -> str:
    public = {x: f"nd.{x}" for x in nd.__all__}
    return "\n".join(f":raises {public.get(k, k)}: {_escaped(x)}" for k, x in _entries(body))


def _returned(body: str, _: Sequence[str]) -> str:
    return f":returns: {_escaped(' '.join(body.split()))}"


def _example(body: str, _: Sequence[str]) -> str:
    return "\n".join(["```pycon", body.strip("\n"), "```"])


_SHOWN: dict[str, Callable[[str, Sequence[str]], str]] = {
    "Args": _arguments,
    "Returns": _returned,
    "Yields": _returned,
    "Raises": _raised,
    "Example": _example,
}
