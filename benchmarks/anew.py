"""Compiling anew: first steps say what compiling takes only if nothing is left of earlier ones."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch

#: Where inductor, Triton and our native code keep what they compiled.
FOLDERS = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "NORMDSL_CACHE")
#: Modules whose functions remember what was compiled.
NATIVE = "normdsl.compiler.native"


@contextmanager
def compiled_anew() -> Iterator[None]:
    """Forget what was compiled, in this process and on disk, and afterwards what was since."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with mock.patch.dict("os.environ", {name: f"{folder}/{name}" for name in FOLDERS}):
            _forget()
            yield
        _forget()


def _forget() -> None:
    torch._dynamo.reset()
    for name, module in list(sys.modules.items()):
        if name == NATIVE or name.startswith(NATIVE + "."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
