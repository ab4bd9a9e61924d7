"""Where normdsl keeps between runs what took long to make: built kernels, and verdicts."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path


@lru_cache
def folder() -> Path:
    """Return the folder: `NORMDSL_CACHE`, or one in the user's cache, or a new one for this run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    found = Path(os.environ.get("NORMDSL_CACHE") or Path(base) / "normdsl")
    try:
        found.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=found).close()
    except OSError:
        found = Path(tempfile.mkdtemp(prefix="normdsl"))
    return found


def write(path: Path, text: str) -> None:
    """Write a file, which appears when it is complete."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as made:
        made.write(text)
    os.replace(made.name, path)
