"""Kernels of GPUs: Triton that is compiled when it is first needed; nothing is read on the host."""

from __future__ import annotations

import linecache
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from normdsl.compiler.native import triton_code
from normdsl.compiler.native.kernel import Kernel
from normdsl.compiler.native.scalars import Scalars
from normdsl.compiler.native.table import Table

_WARPS = 8


class Gpu(Kernel):
    """A kernel of GPUs; on CPUs it runs in Triton's interpreter."""

    block, language = 2**12, "Triton"

    def __init__(
        self,
        scalars: Scalars,
        dtypes: Mapping[str, torch.dtype],
        computed: torch.dtype,
        chance: Mapping[str, int],
    ) -> None:
        super().__init__(scalars, dtypes, computed, chance)
        self._compiled = set[tuple[Any, ...]]()
        self._functions = _loaded(triton_code.written(scalars, dtypes, computed, chance))

    def step(
        self,
        table: Table,
        numbers: Tensor,
        ok: Tensor | None,
        write: bool,
        keys: Tensor | None = None,
    ) -> Tensor:
        good = torch.ones(table.members, dtype=torch.uint8, device=table.member.device)
        row = numbers.shape[1] if len(numbers) > 1 else 0
        said = good if ok is None else ok.to(torch.uint8)
        masked = {"MASKED": ok is not None, "WRITE": write}
        drawn = table.first if keys is None else keys  # none is read then
        self._call("step", table, 0, numbers, row, drawn, said, good, **masked)
        return good.bool()

    def largest(self, table: Table, array: int) -> Tensor:
        found = torch.empty(len(table.member), dtype=torch.float64, device=table.member.device)
        kind = triton_code.kind(self.dtypes["WG"[array]])
        self._call("largest", table, array, found, KIND=kind)
        return found

    def _call(self, name: str, table: Table, array: int, *given: Any, **constants: Any) -> None:
        """Run a function on all blocks of a table, from an array on; no operations are fused."""
        places = (table.member, table.first, table.last, table.addresses[array])
        begun, key = time.perf_counter(), (name, *constants.values(), table.aligned)
        with torch.cuda.device_of(table.member):  # type: ignore[no-untyped-call]
            self._functions[name][(len(table.member),)](
                *places,
                table.members,
                *given,
                **constants,
                T=triton_code.kind(self.computed),
                ALIGNED=table.aligned,
                BLOCK=self.block,
                num_warps=_WARPS,
                enable_fp_fusion=False,
            )
        if key not in self._compiled:  # it was compiled before it was started
            self._compiled.add(key)
            self.seconds += time.perf_counter() - begun


def _loaded(source: str) -> dict[str, Any]:
    """Run emitted source, which Triton reads again."""
    name = f"<normdsl kernel {hash(source):x}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(source, name, "exec"), namespace)
    return namespace
