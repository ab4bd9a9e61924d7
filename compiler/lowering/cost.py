"""Cost: what a lowered rule computes, moves and keeps, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.lowering.counting import Tally, shortened, tally
from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.lowering.fragments import stream_name
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.refresh import COMPUTE, KEEP
from normdsl.errors import DeclarationError
from normdsl.expressions.nodes import Source, Stream
from normdsl.expressions.traversal import walk
from normdsl.schedules.methods import Differences
from normdsl.show.grid import Grid
from normdsl.show.page import Shown


@attrs.frozen
class StateCost:
    """What one state takes.

    Args:
        name: its key in the optimizer's state. shape: rows and columns, of each matrix.
        dtype: of its entries. bytes: of the whole batch.
    """

    name: str
    shape: tuple[int, int]
    dtype: torch.dtype
    bytes: int


@attrs.frozen(repr=False)
class Cost(Shown):
    """What one step costs on a batch of matrices.

    Args:
        products: operations in matrix products, 2 k for each entry of a product over k.
        factorisations: operations in decompositions and triangular solves.
        entrywise: all others, one for each entry that is computed or summed.
        moved: bytes that are read and written if every operation reads its operands from memory
            and writes its result: an upper bound, since compilation fuses entrywise ones.
        state: what each state takes.
        evaluations: how often the loss and its gradient are evaluated, at the weights included.
        hessian_products: how many products with the Hessian there are; by double backward each
            costs about as much as two evaluations, by differences one that is counted there.
    """

    products: int
    factorisations: int
    entrywise: int
    moved: int
    state: tuple[StateCost, ...]
    evaluations: int = 1
    hessian_products: int = 0

    def __str__(self) -> str:
        """Return it in words."""
        told = [
            f"evaluations of the loss: {self.evaluations}",
            f"products with the Hessian: {self.hessian_products}",
            f"operations: {self.flops:,} ({self.products:,} in products of matrices, "
            f"{self.factorisations:,} in factorisations, {self.entrywise:,} entry by entry)",
            f"moved, if nothing is fused: {self.moved:,} bytes",
            f"states: {self.state_bytes:,} bytes",
        ]
        return "\n".join(told)

    def grid(self) -> Grid:
        """Return it as a table."""
        counts: dict[str, int] = {
            "evaluations of the loss": self.evaluations,
            "products with the Hessian": self.hessian_products,
            "operations in products of matrices": self.products,
            "operations in factorisations": self.factorisations,
            "operations entry by entry": self.entrywise,
            "bytes moved, if nothing is fused": self.moved,
        }
        rows = [[what, f"{count:,}"] for what, count in counts.items()]
        for s in self.state:
            m, n = s.shape
            kind = str(s.dtype).removeprefix("torch.")
            rows.append([f"bytes of the state {s.name}, {m}×{n} {kind}", f"{s.bytes:,}"])
        return Grid(["of a step", "count"], rows)

    def _repr_html_(self) -> str:
        return self.grid().html()

    @property
    def flops(self) -> int:
        """All operations."""
        return self.products + self.factorisations + self.entrywise

    @property
    def state_bytes(self) -> int:
        """Bytes of all states."""
        return sum(s.bytes for s in self.state)


def together(costs: Mapping[str, Cost]) -> Cost:
    """Return what a step of several parameters costs, which evaluate the loss together.

    Args:
        costs: of the step of each, by its name.
    """
    each = costs.values()
    state = [attrs.evolve(s, name=f"{name}.{s.name}") for name, x in costs.items() for s in x.state]
    return Cost(
        sum(x.products for x in each),
        sum(x.factorisations for x in each),
        sum(x.entrywise for x in each),
        sum(x.moved for x in each),
        tuple(state),
        max(x.evaluations for x in each),
    )


def cost(
    program: Program,
    shape: tuple[int, int],
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    phase: int | None = None,
) -> Cost:
    """Return what a step costs on `batch` weights of `shape`, surveys and points included.

    Args:
        program: the lowered rule.
        shape: rows and columns. batch: how many such matrices step together.
        dtype: of the parameters. Casts between it, or that of the states, and the dtype of the
            step are not counted.
        phase: what is done with values that are kept between steps, see `refresh`; None for the
            mean of the steps after the first.

    Raises:
        DeclarationError: if the shape or the batch is not made of whole numbers ≥ 1.
    """
    _require_counts((*shape, batch))
    working = _working_dtype(program, dtype)
    refresh = program.schedule.refresh
    phases = [COMPUTE] + [KEEP] * (refresh - 1) if program.phase and phase is None else [phase]
    found = {p: _counted(program, shape, batch, working, p) for p in dict.fromkeys(phases)}
    each = [attrs.astuple(found[p]) for p in phases]
    mean = Tally(*(round(sum(column) / len(each)) for column in zip(*each, strict=True)))
    state = tuple(_states(program, shape, batch, working))
    directions = sum(phase.products(batch * shape[0] * shape[1]) for phase in program.phases)
    counted = (mean.products, mean.factorisations, mean.entrywise, mean.moved)
    return Cost(*counted, state, _evaluations(program, directions), directions)


def _evaluations(program: Program, products: int) -> int:
    """Return how often a step evaluates the loss; products at W share the evaluation there."""
    read = {x.source for root in program.graph for x in walk(root) if isinstance(x, Stream)}
    still = not all(phase.evaluates for phase in program.phases)
    here = still or not read.isdisjoint((Source.GRADIENT, Source.LOSS))
    far = products if isinstance(program.schedule.hessian, Differences) else 0
    return int(here) + far + sum(phase.evaluates for phase in program.phases)


def _states(
    program: Program, shape: tuple[int, int], batch: int, working: torch.dtype
) -> Iterator[StateCost]:
    for field in program.fields:
        rows, cols = field.lengths(shape)
        dtype = _named(program.schedule.kept_dtype(field.name, field.turns)) or working
        yield StateCost(field.name, (rows, cols), dtype, batch * rows * cols * dtype.itemsize)


def _working_dtype(program: Program, dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which a step is computed."""
    real = dtype.to_real() if dtype.is_complex else dtype
    return _named(program.schedule.dtype) or torch.promote_types(real, torch.float32)


def _named(name: str | None) -> torch.dtype | None:
    found = getattr(torch, name) if name else None
    assert found is None or isinstance(found, torch.dtype)
    return found


def _counted(
    program: Program, shape: tuple[int, int], batch: int, dtype: torch.dtype, phase: int | None
) -> Tally:
    """Count the operations of the surveys and the step."""

    def meta(rows: int, cols: int, kind: torch.dtype = dtype) -> Tensor:
        return torch.empty(batch, rows, cols, dtype=kind, device="meta")

    states = [meta(*f.lengths(shape)) for f in program.fields]
    given, kept = [meta(*shape), meta(*shape), *states], [states[k] for k in program.homes]
    sides = {"output_moment": shape[0], "input_moment": shape[1]}
    declaration = program.declaration
    numbers: dict[str, Any] = {k: 1.0 if v is None else v for k, v in declaration.defaults.items()}
    numbers["t"] = meta(1, 1)
    told: dict[str, Any] = {name: meta(sides[name], sides[name]) for name in declaration.moments}
    told |= {stream_name(x): meta(*lengths_of(x.shape, shape)) for x in declaration.neighbours}
    told["loss"] = meta(1, 1)
    if program.draws:
        told |= {"stream": meta(1, 1, torch.int64), "places": meta(*shape, torch.int64)}
    correction: list[Tally] = []

    answers = tuple(
        meta(*lengths_of(q.shape, shape)) for phase in program.phases for q in phase.asked
    )

    def step() -> None:
        known: dict[str, tuple[Tensor, ...]] = {"layers": (), "own": ()} if program.layers else {}
        known |= {"answers": answers} if program.phases else {}
        for scalar, survey in zip(program.layers, program.surveys, strict=True):
            arrays = given + (kept if scalar in program.waiting else [])
            called = shortened(survey, correction)
            known["own"] += tuple(called(*arrays, **numbers, **told, **known))
            known["layers"] += (meta(1, 1)[:1],)
        for each, point in zip(program.phases, program.points, strict=True):
            arrays = given + (kept if program.waits((each.point, *each.directions)) else [])
            shortened(point, correction)(*arrays, **numbers, **told, **known)
        once = {**program.numbers(given[0], **numbers), **told, **known}
        if phase and program.renew and program.phase:
            shortened(program.renew, correction)(*given, **once, **{program.phase: phase})
        shortened(program.arrays, correction)(*given, *kept, **once)

    return reduce(Tally.plus, correction, tally(step))


def _require_counts(numbers: tuple[int, ...]) -> None:
    if not all(type(k) is int and k > 0 for k in numbers):
        raise DeclarationError(
            f"count the cost for rows, columns and batch {numbers!r}",
            why="weights are a batch of matrices, rows × columns",
            hint="pass shape=(256, 512) and batch=1",
        )
