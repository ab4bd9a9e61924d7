"""Function text: a function of emitted code from its head, its lines and its results."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: The longest line of a head.
WIDTH = 100


def lengths(lines: list[str], results: list[str]) -> list[str]:
    """Return the line that unpacks rows and columns, if the code needs it."""
    needed = re.search(r"\b(rows|cols)\b", "\n".join([*lines, *results]))
    return ["rows, cols = W.shape[-2:]"] if needed else []


def returned(results: list[str]) -> str:
    """Return the line with which a function returns its results."""
    return f"return {', '.join(results) if len(results) > 1 else tuple_of(results)}"


def tuple_of(parts: list[str]) -> str:
    """Return the code of a tuple of these parts."""
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def function(head: str, what: str, body: list[str]) -> str:
    """Return the source of a function, from its head, what it is, and its lines."""
    lines = [f'"""{what}."""', *body]
    name, _, rest = head.partition("(")
    head = bracketed_call(name, rest.removesuffix("):").split(", "), ":")
    return head + "\n" + "\n".join("    " + line for line in lines) + "\n"


def bracketed_call(name: str, arguments: Sequence[str], after: str = "", indent: int = 0) -> str:
    """Return a name with its arguments in brackets, on as few lines as code formatters would use.

    Args:
        name: what stands before the brackets. arguments: what stands in them.
        after: what follows them. indent: by how many spaces the line is indented.
    """
    line = f"{name}({', '.join(arguments)}){after}"
    if indent + len(line) <= WIDTH:
        return line
    within, space = ", ".join(arguments), " " * indent
    if indent + 4 + len(within) <= WIDTH:
        return f"{name}(\n{space}    {within}\n{space}){after}"
    each = "".join(f"\n{space}    {x}," for x in arguments)
    return f"{name}({each}\n{space}){after}"
