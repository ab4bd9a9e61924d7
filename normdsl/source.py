"""Where an expression was written: file and line of the user's own code, and its frame."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import FrameType
from typing import Any

import attrs

_LIBRARY = "normdsl"
_USER_PARTS = ("normdsl.algorithms", "normdsl.cli", "normdsl.exploring.parts")


@attrs.frozen
class Where:
    """A line of source code.

    Args:
        file: path of the file, or the name of a notebook cell.
        line: line number, from 1.
    """

    file: str
    line: int

    @property
    def text(self) -> str:
        """The source line itself, stripped; empty if it can no longer be read."""
        return linecache.getline(self.file, self.line).strip()

    @property
    def name(self) -> str:
        """The file's name, or the number of the notebook's cell, In[3]."""
        return _cell(self.file) or self.file.replace("\\", "/").rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" + (f"  {self.text}" if self.text else "")


def _cell(file: str) -> str | None:
    """Return what IPython, if it is running, calls the cell that it has stored as a file."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    known = shell.compile.format_code_name(file) if shell else None
    return f"cell {known[1]}" if known else None


@attrs.frozen
class Operands:
    """Two expressions that an operation cannot join, for `at`: there is no expression of both.

    Args:
        left: the first. right: the second. where: the line that joins them.
    """

    left: object
    right: object
    where: Where | None

    def __str__(self) -> str:
        return f"{self.left}  and  {self.right}"


_PLACE: ContextVar[tuple[Where | None, ...]] = ContextVar("place", default=())


@contextmanager
def located(where: Where | None) -> Iterator[None]:
    """Give what is built inside the place of the expression it stands for, or none."""
    token = _PLACE.set((where,))
    try:
        yield
    finally:
        _PLACE.reset(token)


class Watch:
    """In a `with` block, sees the frame of a function that is called there and builds expressions.

    A frame that something refers to keeps its variables when it returns. So no profiler or tracer
    is set: a process has one of each, which is for others to use.
    """

    def __enter__(self) -> Watch:
        self._caller = sys._getframe(1)
        self._called: FrameType | None = None
        self._token = _WATCH.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _WATCH.reset(self._token)

    def see(self, frame: FrameType | None) -> None:
        """Find the function's frame among those from which an expression is built."""
        while self._called is None and frame is not None:
            if frame.f_back is self._caller:
                self._called = frame
            frame = frame.f_back

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that the function had at last; none if it built no expression."""
        return {} if self._called is None else dict(self._called.f_locals)


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


def here() -> Where | None:
    """Return the innermost frame outside the language and the compiler, or None."""
    given = _PLACE.get()
    if given:
        return given[0]
    frame = sys._getframe(1)
    watch = _WATCH.get()
    if watch is not None:
        watch.see(frame)
    while frame is not None:
        if not _is_library(frame.f_globals.get("__name__") or "", frame.f_code.co_filename):
            return Where(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


@lru_cache(maxsize=4096)
def _is_library(module: str, filename: str) -> bool:
    if filename.startswith("<attrs"):
        return True
    return _within(module, _LIBRARY) and not any(_within(module, part) for part in _USER_PARTS)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
