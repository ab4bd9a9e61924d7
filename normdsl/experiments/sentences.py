"""Short English texts that come with Python: what docstrings of its library say, by package."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

#: Packages with enough of them.
PACKAGES = ("asyncio", "email", "importlib", "logging",
            "multiprocessing", "tkinter", "unittest", "xml")  # fmt: skip
EACH = 150
#: Characters that a text has at least.
LEAST = 20


def sentences() -> tuple[list[str], list[int]]:
    """Return first paragraphs of docstrings, equally many of each package, and its number."""
    library = Path(sysconfig.get_path("stdlib"))
    found = [_every(_by_length(library / name)) for name in PACKAGES]
    texts = [text for part in found for text in part]
    return texts, [k for k, part in enumerate(found) for _ in part]


def _by_length(folder: Path) -> list[str]:
    """Return the texts of a folder, each once, the shortest first."""
    texts = {text for path in sorted(folder.rglob("*.py")) for text in _texts(path)}
    return sorted(texts, key=lambda text: (len(text), text))


def _every(texts: list[str]) -> list[str]:
    """Return `EACH` of them, evenly spread over the lengths."""
    return [texts[k * len(texts) // EACH] for k in range(EACH)]


def _texts(path: Path) -> Iterator[str]:
    if {"test", "tests"} & set(path.parts):
        return
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
            if len(text) >= LEAST:
                yield text
