"""Building: libraries that any later process can load."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from normdsl.compiler.native import build

SOURCE = """
#include <cstdint>
extern "C" int64_t squares(int64_t n) {
  int64_t sum = 0;
#pragma omp parallel for reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += i * i;
  return sum;
}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_folder", lambda: tmp_path)
    build.build.cache_clear()
    yield tmp_path
    build.build.cache_clear()


def test_a_library_is_built_once_and_found_again(folder, monkeypatch):
    assert build.build(SOURCE).squares(10) == 285
    build.build.cache_clear()
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("built again"))
    assert build.build(SOURCE).squares(10) == 285


def test_threads_are_those_of_torch_whatever_else_is_loaded(folder):
    """Packages bring OpenMP libraries of their own, which other processes do not have."""
    build.build(SOURCE)
    (made,) = folder.glob("*.so")
    code = f"import ctypes; print(ctypes.CDLL({str(made)!r}).squares(10))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "285", done.stderr
    library = build._openmp()
    assert library is None or Path(torch.__file__).parent.parent in library.parents


def test_an_error_of_the_compiler_is_told(folder):
    with pytest.raises(OSError, match=r"failed: .*error"):
        build.build("this is no C++")
