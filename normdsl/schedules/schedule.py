"""How a declaration is computed: kernels and precision. A schedule never changes the meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from normdsl.errors import DeclarationError, shown
from normdsl.near import did_you_mean, known_fields
from normdsl.schedules.methods import (
    SVD,
    Automatic,
    Differences,
    DoubleBackward,
    Eigh,
    Method,
    require_count,
)
from normdsl.show.grid import Grid

_HINTS = {
    "polar": "nd.Automatic(), nd.SVD(), nd.QRSVD(), nd.Eigh(), nd.jordan() or nd.polar_express()",
    "root": "nd.Automatic(), nd.Eigh() or nd.CoupledNewton()",
    "eigenbasis": "nd.Automatic(), nd.Eigh() or nd.QRPower()",
}
_WHAT = {
    "polar": "polar factors",
    "root": "inverses and roots of matrices",
    "eigenbasis": "eigenbases",
}
_ROUNDINGS = ("nearest", "stochastic")
_KEPT = ("float16", "bfloat16", "float32", "float64")
_WIRES = ("bfloat16", "float32")


def _pairs(state: Any) -> Any:
    """Return dtypes by name as pairs, which can be hashed."""
    return tuple(sorted(state.items())) if isinstance(state, Mapping) else state


@known_fields
@attrs.frozen
class Schedule:
    """How a rule is computed: its methods, its precision, and how often; never what it means.

    Args:
        polar: method of polar factors: `Automatic()`, which says within which error, `SVD()`,
            `QRSVD()`, `Eigh()` or polynomials, whose `band` is their error. `Turbo()` alone
            computes something else: see there.
        dtype: name of the floating dtype everything is computed and kept in; None for that of the
            parameter, at least float32. Roots of Gram matrices square the condition number: in
            float32, directions of G below about 1e-3 of the largest count as zero; with
            dtype="float64" below about 1e-7.
        compile: whether to compile. Entry-wise rules become native code, which reads and writes
            each tensor once: C++ on CPUs, Triton on GPUs; None does so where a compiler is found
            and the entries are many. Of other rules True passes the emitted function through
            `torch.compile`.
        root: method of matrix powers, `Automatic()`, `Eigh()` or `CoupledNewton()`. An exponent it
            does not take is computed by `Eigh()`, which the emitted source says.
        eigenbasis: method of eigenbases, `Automatic()`, `Eigh()` or `QRPower()`.
        hessian: method of products with the Hessian, for rules that ask for them:
            `DoubleBackward()` or `Differences()`.
        refresh: matrix powers, inverses, Cholesky factors and eigenbases of what depends on a
            state are computed every `refresh` steps and kept in between, as further states, so
            that none is older. Parameters count steps of their own. An approximation in time, as
            the methods are in value; `nd.schedule_error` measures both.
        stagger: whether parameters take turns, so that no step computes the kept values of all:
            one with the offset o computes them at its first step, and after s steps whenever
            s + o is a multiple of `refresh`. Offsets are dealt at first steps, by cost; they are
            part of the state (`refresh_offset`) and hold however this is set later. Kept values
            are never older than without; a parameter alone has offset 0.
        state: name of the dtype in which states are kept between steps, `"bfloat16"`, or one for
            some of them, `{"m": "bfloat16"}`; None for the dtype of the computation. Rounding at
            the end of each step is the error it makes. One dtype for all leaves out eigenbases by
            which other states turn: columns rounded to another length stretch those every time.
        rounding: how states are rounded to bfloat16, `"nearest"` or `"stochastic"`: to one of both
            neighbours, with the chance that makes the mean exact. A step that is smaller than half
            the gap between two numbers, 2⁻⁸ of them and less, is lost if rounded to the nearest, so
            that an average with β = 0.999 stands still; by chance it arrives on average. The random
            bits are functions of seed, parameter, step and entry.
        wire: name of the dtype in which parts of matrices travel between processes, to the owner
            of a matrix and back, `"bfloat16"` or `"float32"`, if it is narrower than that of the
            computation; None for the latter. Who receives a value computes with what was sent, who
            sends it keeps it as it was, and all replicas receive the same. Sums, maxima, single
            numbers, and what depends on the weights, beside which a step is small, travel as they
            are. In bfloat16 an entry is off by up to 2⁻⁹ of it, so that polar factors and roots of
            matrices whose singular values are further apart, or of deficient rank, are those of
            that noise in part: `nd.schedule_error` measures it on gradients. Where no matrix has
            an owner, and in one process, nothing is changed.
        owned: the most bytes that a process may have of the whole matrices that it owns, where
            several processes hold parts of them: what gets there and leaves again in a step, and
            the states that are kept there. Owners are dealt within it, the costliest matrix first
            to who has least work; a matrix that has more by itself is owned by a group, if its
            rule can be computed so. Where it cannot be kept, the optimizer says what is needed.
            None for any number.
        group: how many neighbouring processes at most may own a matrix together that is too large
            for the turn of one: those of one machine, which sum Gram matrices a few times while
            they compute a polar factor; 1 for owners alone. Groups divide all processes equally.

    Raises:
        DeclarationError: for an unknown dtype, a method without a kernel for its role, a refresh
            that is not a whole number ≥ 1, stochastic rounding of states in another dtype than
            bfloat16, or a dtype of the wire that would lose more than digits, or nothing.

    Example:
        >>> import normdsl as nd
        >>> fast = nd.Schedule(polar=nd.polar_express(), refresh=10)
        >>> fast.refresh, fast.root
        (10, Automatic())
    """

    polar: Method = attrs.field(factory=Automatic)
    dtype: str | None = None
    compile: bool | None = None
    root: Method = attrs.field(factory=Automatic)
    eigenbasis: Method = attrs.field(factory=Automatic)
    hessian: DoubleBackward | Differences = attrs.field(factory=DoubleBackward)
    refresh: int = 1
    stagger: bool = True
    state: str | tuple[tuple[str, str], ...] | None = attrs.field(default=None, converter=_pairs)
    rounding: str = "nearest"
    wire: str | None = None
    owned: int | None = None
    group: int = 8

    def grid(self) -> Grid:
        """Return it as a table: each setting, its value, and whether that is the default."""
        rows = []
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            usual = value == getattr(Schedule(), field.name)
            rows.append([field.name, str(value), "default" if usual else ""])
        return Grid(["setting", "value", ""], rows)

    def _repr_html_(self) -> str:
        return self.grid().html()

    def kept_dtype(self, name: str, turns: bool = False) -> str | None:
        """Return the name of the dtype in which a state is kept; None for the computation's.

        Args:
            name: of the state. turns: whether others are turned by it at every step.
        """
        if isinstance(self.state, tuple):
            return dict(self.state).get(name)
        return None if turns else self.state

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states that have a dtype of their own."""
        return tuple(name for name, _ in self.state) if isinstance(self.state, tuple) else ()

    def __attrs_post_init__(self) -> None:
        for role, methods in _HINTS.items():
            _require_role(role, getattr(self, role), methods)
        if not isinstance(self.hessian, DoubleBackward | Differences):
            raise DeclarationError(
                f"schedule hessian={shown(self.hessian)}",
                why="that is not a method that computes products with a Hessian",
                hint="use nd.DoubleBackward() or nd.Differences()",
            )
        require_count("schedule refresh", self.refresh)
        if self.owned is not None:
            require_count("schedule bytes owned", self.owned)
        require_count("schedule owner groups of", self.group)
        if self.dtype not in (None, "float32", "float64"):
            raise DeclarationError(
                f"schedule the computation in {self.dtype!r}",
                why="matrices are factored in float32 or float64 only",
                hint=did_you_mean(self.dtype, ("float32", "float64"), "the choices are None,")
                + "; nd.NewtonSchulz has a dtype of its own",
            )
        kept = [d for _, d in self.state] if isinstance(self.state, tuple) else [self.state]
        for name in kept:
            if name not in (None, *_KEPT):
                raise DeclarationError(
                    f"schedule states in {name!r}",
                    why="states are kept in a floating dtype",
                    hint=did_you_mean(name, _KEPT, "the dtypes are"),
                )
        _require_rounding(self.rounding, kept)
        _require_wire(self.wire)


def _require_role(role: str, method: object, methods: str) -> None:
    if not isinstance(method, Method) or role not in method.kernels:
        raise DeclarationError(
            f"schedule {role}={shown(method)}",
            why=f"that is not a method that computes {_WHAT[role]}",
            hint=f"use {methods}",
        )


def _require_rounding(rounding: object, dtypes: Sequence[str | None]) -> None:
    if rounding not in _ROUNDINGS:
        raise DeclarationError(
            f"schedule rounding={shown(rounding)}",
            why="it says how new states become those that are kept",
            hint=did_you_mean(str(rounding), _ROUNDINGS, "the choices are"),
        )
    if rounding == "stochastic" and set(dtypes) != {"bfloat16"}:
        raise DeclarationError(
            "schedule stochastic rounding",
            why="it fills the 16 bits by which float32 is longer than bfloat16, and the states "
            f"are kept in {', '.join(d or 'the dtype of the computation' for d in dtypes)}",
            hint='add state="bfloat16", or state={"v": "bfloat16"} for some of them',
        )


def _require_wire(dtype: object) -> None:
    if dtype in (None, *_WIRES):
        return
    told = {
        "float16": "beyond 65504 it is infinite, and gradients below 6e-8 are 0 in it",
        "float64": "a step is computed in float32 or float64, and travels so by itself",
    }
    raise DeclarationError(
        f"schedule the wire in {shown(dtype)}",
        why=told.get(
            str(dtype), "parts of matrices travel in a floating dtype with the range of float32"
        ),
        hint=did_you_mean(str(dtype), _WIRES, "the choices are None,"),
    )


#: The specification: SVD and symmetric eigenvalues, in float64.
exact = Schedule(polar=SVD(), dtype="float64", root=Eigh(), eigenbasis=Eigh())
