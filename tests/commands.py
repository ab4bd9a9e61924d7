"""The commands of normdsl, called as a console calls them: in this process, or in one of their own.

A process of its own takes seconds to import torch, so only what a process alone can show has one.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import attrs

from normdsl.cli.main import run


@attrs.frozen
class Done:
    """What a command wrote, and how it ended."""

    code: int
    out: bytes
    err: bytes
    encoding: str = "utf-8"

    @property
    def told(self) -> str:
        """What it wrote, as its console shows it."""
        return self.out.decode(self.encoding)

    @property
    def complaint(self) -> str:
        """What it wrote to the stream of errors, as its console shows it."""
        return self.err.decode(self.encoding)


def normdsl(*args: str, encoding: str = "utf-8") -> Done:
    """Call a command in this process, on a console of an encoding; a traceback is raised."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    argv = mock.patch.object(sys, "argv", ["normdsl", *args])
    code = 0
    with argv, redirect_stdout(out), redirect_stderr(err):
        try:
            run()
        except SystemExit as ended:
            code = ended.code or 0
    for stream in (out, err):
        stream.flush()
    return Done(code, out.buffer.getvalue(), err.buffer.getvalue(), encoding)


def process(*args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
    """Call a command in a process of its own."""
    code = "from normdsl.cli.main import run; run()"
    ended = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, check=False, cwd=cwd, env=env
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)
