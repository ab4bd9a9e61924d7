"""What is printed, folded to the width of a console: formulas, prose, and code, which is not."""

from __future__ import annotations

from rich.console import Console
from rich.syntax import Syntax

from normdsl.cli.plain import said
from normdsl.show.text import wrapped


def formulas(text: str, width: int) -> str:
    """Return lines cut at spaces to a width, what is cut off indented further."""
    return "\n".join(piece for line in said(text).split("\n") for piece in wrapped(line, width))


def prose(text: str, width: int) -> str:
    """Return paragraphs filled to a width, those with a longer line; indented ones stay."""
    return "\n\n".join(_filled(part, width) for part in said(text).split("\n\n"))


def _filled(part: str, width: int) -> str:
    lines = part.split("\n")
    kept = all(len(line) <= width for line in lines) or any(x.startswith(" ") for x in lines)
    return part if kept else "\n".join(wrapped(" ".join(map(str.rstrip, lines)), width, further=0))


def print_code(console: Console, code: str) -> None:
    """Print Python code coloured, its lines as they are, whatever the width."""
    shown = Syntax(code, "python", theme="ansi_light").highlight(code)
    console.print(shown, soft_wrap=True, end="")
