"""Kernels of CPUs: C++ that is compiled when it is first needed, and called by `ctypes`."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.native import build, cpp
from normdsl.compiler.native.kernel import Kernel
from normdsl.compiler.native.scalars import Scalars
from normdsl.compiler.native.table import Table

_LONG, _INT, _ADDRESS = ctypes.c_int64, ctypes.c_int, ctypes.c_void_p


class Cpu(Kernel):
    """A kernel of CPUs, on as many threads as torch has.

    Raises:
        OSError: if it cannot be compiled.
    """

    block, language = 2**14, "C++"  # a block's entries stay in the cache together

    def __init__(
        self,
        scalars: Scalars,
        dtypes: Mapping[str, torch.dtype],
        computed: torch.dtype,
        chance: Mapping[str, int],
    ) -> None:
        super().__init__(scalars, dtypes, computed, chance)
        begun = time.perf_counter()
        library = build.build(cpp.written(scalars, dtypes, computed, chance))
        self.seconds = time.perf_counter() - begun
        parts: list[Any] = [_LONG, _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS, _LONG]
        self._step, self._largest = library.step, [library.largest_W, library.largest_G]
        self._step.argtypes = [*parts, _ADDRESS, _LONG, _ADDRESS, _ADDRESS, _ADDRESS, _INT, _INT]
        for function in self._largest:
            function.argtypes = [*parts, _ADDRESS, _INT]

    def step(
        self,
        table: Table,
        numbers: Tensor,
        ok: Tensor | None,
        write: bool,
        keys: Tensor | None = None,
    ) -> Tensor:
        good = torch.ones(table.members, dtype=torch.bool)
        self._step(
            *_given(table, 0),
            numbers.data_ptr(),
            numbers.shape[1] if len(numbers) > 1 else 0,
            None if keys is None else keys.data_ptr(),
            None if ok is None else ok.data_ptr(),
            good.data_ptr(),
            write,
            torch.get_num_threads(),
        )
        return good

    def largest(self, table: Table, array: int) -> Tensor:
        found = torch.empty(len(table.member), dtype=torch.float64)
        self._largest[array](*_given(table, array), found.data_ptr(), torch.get_num_threads())
        return found


def _given(table: Table, array: int) -> tuple[int, ...]:
    """Return what a function is given of a table, from an array on."""
    return (
        len(table.member),
        *table.pointers,
        table.addresses[array].data_ptr(),
        table.members,
    )
