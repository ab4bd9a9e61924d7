"""Building: C++ of a kernel to a library of this machine, kept between runs of Python."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import torch

from normdsl.cache import folder as _folder

#: Operations stay as they are written: their results do not depend on what is fused to what.
_FLAGS = ["-std=c++17", "-O3", "-fPIC", "-shared", "-w"]
_FLAGS += ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
#: What not all compilers take: the first of these that works is used.
_EXTRA: tuple[list[str], ...] = (["-march=native", "-fopenmp"], ["-march=native"], [])


@lru_cache
def compiler() -> str | None:
    """Return the C++ compiler of this machine: that of `CXX`, or `c++`; None if there is none."""
    for name in (os.environ.get("CXX"), "g++", "c++", "clang++"):
        if name and (found := shutil.which(name)):
            return found
    return None


@lru_cache
def build(source: str) -> ctypes.CDLL:
    """Return a library compiled from C++, or found where an earlier run has put it.

    Raises:
        OSError: if there is no compiler, or it fails.
    """
    return ctypes.CDLL(str(built(source)))


def built(source: str, flags: Sequence[str] = ()) -> Path:
    """Return the file of a library, which is compiled if there is none.

    Args:
        source: C++. flags: of the compiler, besides the usual ones.

    Raises:
        OSError: if there is no compiler, or it fails.
    """
    where = _folder() / f"{_key(source, flags)}.so"
    if not where.exists():
        _compile(source, where, flags)
    return where


def _compile(source: str, where: Path, flags: Sequence[str]) -> None:
    """Compile to a file, which appears when it is complete."""
    command = compiler()
    if command is None:
        raise OSError("there is no C++ compiler: install g++ or clang++, or set CXX")
    with tempfile.TemporaryDirectory(dir=where.parent) as folder:
        code, made = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
        code.write_text(source)
        for extra in _EXTRA:
            told = [command, *_FLAGS, *extra, str(code), "-o", str(made), *_threads(extra), *flags]
            done = subprocess.run(told, capture_output=True, text=True, check=False)
            if not done.returncode:
                break
        else:
            raise OSError(f"{Path(command).name} failed: {done.stderr.strip()}")
        os.replace(made, where)


def _threads(flags: Sequence[str]) -> list[str]:
    """Return how to link the OpenMP library that comes with torch, if one does.

    Of two pools of threads, each would wait for the other.
    """
    library = _openmp()
    if "-fopenmp" not in flags or library is None:
        return []
    return ["-Wl,--as-needed", str(library), f"-Wl,-rpath,{library.parent}"]


@lru_cache
def _openmp() -> Path | None:
    """Return the OpenMP library that comes with torch; other packages may have loaded their own."""
    home = Path(torch.__file__).parent
    folders = (home / "lib", home.with_name("torch.libs"))
    return next((x for folder in folders for x in sorted(folder.glob("libgomp*.so*"))), None)


def _key(source: str, flags: Sequence[str]) -> str:
    """Return a name that differs for other code, flags, compilers, libraries and processors."""
    told = [source, *_FLAGS, *flags, str(_EXTRA), str(compiler()), str(_openmp())]
    told += [sys.platform, platform.machine(), _processor()]
    return sha256("\n".join(told).encode()).hexdigest()[:32]


@lru_cache
def _processor() -> str:
    """Return what tells processors with other instructions apart."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    lines = info.read_text().splitlines()
    return next((x for x in lines if x.startswith(("flags", "Features"))), platform.processor())
