"""Compiled functions, which know how long their first call took."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch


class Compiled:
    """A function as one graph of `torch.compile`, of which sizes are variables.

    So it is compiled once for tall matrices, for wide and for square ones, not for every size.

    Args:
        function: what is compiled, when it is first called.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = torch.compile(function, fullgraph=True, dynamic=True)
        #: How long the first call took, compilation included; 0 before it.
        self.seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        if self.seconds or torch.compiler.is_compiling():
            return self._function(*args, **kwargs)
        begun = time.perf_counter()
        found = self._function(*args, **kwargs)
        self.seconds = time.perf_counter() - begun
        return found


@lru_cache(maxsize=1024)
def compiled(function: Callable[..., Any]) -> Compiled:
    """Return a function compiled, the same one whenever it is asked for."""
    return Compiled(function)
