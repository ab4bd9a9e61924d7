"""Setting: for which weights a step is divided, among whom, and what a value costs that crosses."""

from __future__ import annotations

import attrs
import torch

from normdsl.compiler.lowering.fields import lengths_of
from normdsl.compiler.sharding.placement import Axes
from normdsl.errors import HyperparameterError
from normdsl.expressions.expr import Expr
from normdsl.expressions.origins import Origin
from normdsl.expressions.shapes import Dim, are_lengths
from normdsl.near import did_you_mean
from normdsl.schedules.schedule import Schedule


@attrs.frozen
class Setting:
    """For which weights a step is divided, and among how many.

    Args:
        shape: rows and columns of W. axes: which of them are cut. processes: that hold W.
        replicas: how many times they hold all of W. number: bytes of a number of the step.
        wire: bytes of one where it may travel in fewer.
        group: how many neighbouring processes own the matrix together, dividing its long side; 1
            for an owner that has all of it. device: the type of the device.
    """

    shape: tuple[int, int]
    axes: Axes
    processes: int
    replicas: int = 1
    number: int = 4
    wire: int = 4
    group: int = 1
    device: str = "cpu"

    @property
    def within(self) -> Axes:
        """Which axis an owner group divides: the long side; none for an owner alone."""
        m, n = self.shape
        return frozenset({Dim.M if m >= n else Dim.N} if self.group > 1 else ())

    @property
    def parts(self) -> int:
        """Among how many processes one copy of W is divided."""
        return self.processes // self.replicas

    def sends(self, kind: str) -> float:
        """Return how often a process sends a value, on average over processes and owners.

        What an owner scatters goes to the processes of its replica, and from each of these along
        the replicas, as a sum with zeros: what it sends has a bound that they do not raise.

        Args:
            kind: how it crosses, see `KINDS` of `rounds`.
        """
        near, along = _ring(self.parts), _ring(self.replicas)
        moved = near / 2 / self.processes
        if kind == "scattered":
            return moved + along / self.parts
        if kind in ("pooled", "peaked"):
            return _ring(self.group) * self.group / self.processes
        return {"gathered": moved, "spread": near + along}.get(kind, near)

    def bytes_of(self, x: Expr, kind: str) -> int:
        """Return the bytes of all of a value that crosses.

        Each process of an owner group gets all of what has no axis that the group divides.
        """
        rows, cols = lengths_of(x.shape, self.shape)
        size = rows * cols * (self.wire if may_round(x, kind) else self.number)
        divided = {x.shape.rows, x.shape.cols} & self.within
        return size if divided or kind != "gathered" else size * self.group

    def price(self, x: Expr, kind: str) -> int:
        """Return the bytes that a process sends if a value crosses, at least one."""
        return max(1, int(self.sends(kind) * self.bytes_of(x, kind)))


def may_round(x: Expr, kind: str) -> bool:
    """Return whether a value may travel in another dtype than that of the step.

    Parts of matrices may. Sums would be computed in it, on their way. What depends on the weights
    would lose a step that is small beside them.
    """
    return kind in ("gathered", "scattered") and Origin.WEIGHTS not in x.origins


def wire_bytes(schedule: Schedule, number: int) -> int:
    """Return the bytes of a number that may be rounded on its way, of so many in the step."""
    wire = schedule.wire
    return number if wire is None else min(number, int(getattr(torch, wire).itemsize))


def _ring(count: int) -> float:
    """Return how often a process of some sends what these sum: it is reduced, then gathered."""
    return 2 * (count - 1) / count


_CUTS = {
    "rows": frozenset({Dim.M}),
    "cols": frozenset({Dim.N}),
    "both": frozenset({Dim.M, Dim.N}),
    "none": frozenset[Dim](),
}


def setting_of(
    shape: tuple[int, int],
    processes: int,
    cut: str,
    replicas: int | None = None,
    schedule: Schedule | None = None,
) -> Setting:
    """Return for which weights a step is divided, in a user's words; in float32 if it may be.

    Raises:
        HyperparameterError: for what is no cut, no shape, or no number of processes or replicas.
    """
    asked = f"plan a step of processes={processes!r}, cut={cut!r}, shape={shape!r}"
    if cut not in _CUTS:
        raise HyperparameterError(
            asked, why="there is no such cut", hint=did_you_mean(cut, _CUTS, "there are")
        )
    if not are_lengths(shape) or not isinstance(processes, int) or processes < 1:
        raise HyperparameterError(
            asked,
            why="a matrix has two positive lengths, and one process or more hold it",
            hint="say shape=(512, 2048), processes=8",
        )
    copies = (1 if _CUTS[cut] else processes) if replicas is None else replicas
    if not isinstance(copies, int) or copies < 1 or processes % copies:
        raise HyperparameterError(
            f"{asked}, replicas={replicas!r}",
            why="replicas are equally many processes each, which together have all of the matrix",
            hint=f"say a number that divides processes={processes}",
        )
    if not _CUTS[cut] and copies != processes:
        raise HyperparameterError(
            f"{asked}, replicas={replicas!r}",
            why="where nothing is cut each process has all of the matrix",
            hint="leave out replicas=…, or say what is cut",
        )
    said = schedule or Schedule()
    number = 8 if said.dtype == "float64" else 4
    size = shape[0], shape[1]
    return Setting(size, _CUTS[cut], processes, copies, number, wire_bytes(said, number))
