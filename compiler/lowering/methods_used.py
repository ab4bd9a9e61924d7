"""Which methods a lowered rule really uses, in words."""

from __future__ import annotations

import inspect

import attrs
import torch

from normdsl.compiler.kernels.automatic import has_bfloat16
from normdsl.compiler.lowering import kernel_calls
from normdsl.compiler.lowering.choices import (
    Choice,
    Spot,
    eigenbasis_choice,
    polar_choices,
    product_choices,
    root_choice,
)
from normdsl.compiler.lowering.derive import Part, Singular
from normdsl.compiler.lowering.program import Program
from normdsl.compiler.lowering.refresh import inside, kept_values
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import (
    Cholesky,
    Eigenbasis,
    Eigenvalues,
    Inverse,
    MatrixPower,
    Polar,
    Qr,
    TopSingular,
)
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.nodes.products import MatMul
from normdsl.norms.iterated import Iterated
from normdsl.schedules.methods import Automatic, Eigh, Method
from normdsl.schedules.schedule import Schedule


def kernels(program: Program, spot: Spot | None = None) -> tuple[str, ...]:
    """Return what a step calls, a line for each role: "power −¼: Eigh(), every 10 steps".

    Where a method does not take an exponent or has no last basis to start from, the line names what
    takes its place. Without factorisations and iterations it is "matrix products" or "entrywise".

    Args:
        program: the lowered rule. spot: where it is computed, which decides what `Automatic` is.
    """
    found, schedule = inside(program.graph), program.schedule
    kept = set(kept_values(program.graph, schedule))
    written = [_line(x, schedule, x in kept, found, spot) for x in found]
    lines = tuple(dict.fromkeys(line for line in written if line))
    products = any(isinstance(x, MatMul) for x in found)
    return lines or ("matrix products" if products else "entrywise",)


def choices(program: Program, spot: Spot) -> tuple[str, ...]:
    """Return what `Automatic` is somewhere, why and within which error, a line for each role."""
    schedule, lines = program.schedule, dict[str, None]()
    for x in inside(program.graph):
        role, chosen = "", tuple[Choice, ...]()
        match x:
            case Polar() if schedule.polar == Automatic():
                role, chosen = "polar", polar_choices(spot)
            case MatrixPower(exponent=p) if schedule.root == Automatic():
                role, chosen = f"power {p}", (root_choice(spot, p),)
            case Eigenbasis() if schedule.eigenbasis == Automatic():
                role, chosen = "eigenbasis", (eigenbasis_choice(),)
        lines |= {f"{role}: {choice}": None for choice in chosen}
    if spot.device.type == "cuda" and "def symmetric_product(" in program.code:
        chosen = product_choices(spot, _product_dtype(schedule.polar, spot))
        lines |= {f"symmetric products: {choice}": None for choice in chosen}
    return tuple(lines)


def _product_dtype(method: Method, spot: Spot) -> torch.dtype:
    """Return the dtype in which the method of a polar factor multiplies matrices."""
    if method == Automatic():
        exact, half = spot.dtype == torch.float64, has_bfloat16(spot.device)
        return torch.bfloat16 if half and not exact else spot.dtype
    name = getattr(method, "dtype", None)
    return getattr(torch, name) if name else spot.dtype


def _line(
    expr: Expr, schedule: Schedule, kept: bool, found: list[Expr], spot: Spot | None
) -> str | None:
    """Return the line of an expression, if it has a role; every role has one."""
    often = f", every {schedule.refresh} steps" if kept and schedule.refresh > 1 else ""
    match expr:
        case Polar() if spot and schedule.polar == Automatic():
            return f"polar: {' or '.join(choice.what for choice in polar_choices(spot))}"
        case MatrixPower(exponent=p) if spot and schedule.root == Automatic():
            return f"power {p}: {root_choice(spot, p).what}{often}"
        case Eigenbasis() if spot and schedule.eigenbasis == Automatic():
            return f"eigenbasis: {eigenbasis_choice().what}{often}"
        case Polar():
            return f"polar: {_method(schedule.polar, 'polar')}"
        case MatrixPower(exponent=p):
            return f"power {p}: {_root(schedule.root, p, often)}"
        case Eigenbasis():
            return f"eigenbasis: {_eigenbasis(schedule.eigenbasis, kept, often)}"
        case Eigenvalues():
            return f"eigenvalues: Eigvalsh{often}"
        case Cholesky():
            return f"Cholesky factor: Eigh and QR{often}"
        case Inverse():
            return f"inverse: SVD{often}"
        case Qr():
            return "orthonormal columns: QR"
        case TopSingular():
            return f"leading singular vectors: SVD{often}"
        case Iterated(steps=steps):
            return f"LMO of several norms: ADMM({steps} steps)"
        case Singular(arg=x):
            vectors = any(Singular(x, part) in found for part in (Part.LEFT, Part.RIGHT))
            return f"singular {'triple' if vectors else 'values'}: SVD"
        case _ if expr.role is not None:
            raise TypeError(f"no words for how a {type(expr).__name__} is computed")
    return None


def _root(method: Method, exponent: Expr, often: str) -> str:
    if method.takes(exponent.value if isinstance(exponent, Constant) else None):
        return _method(method, "root") + often
    refused = f"since {_method(method, 'root')} does not take this exponent"
    return f"{_method(Eigh(), 'root')}{often}, {refused}"


def _eigenbasis(method: Method, kept: bool, often: str) -> str:
    chosen, first = _method(method, "eigenbasis"), _method(Eigh(), "eigenbasis")
    if not method.iterative:
        return chosen + often
    if kept:
        return f"{chosen}{often}, the first by {first}"
    return f"{first}, since {chosen} needs a last basis and this one reads no state"


def _method(method: Method, role: str) -> str:
    """Return a method as it is written, with those of its fields that its kernel for a role takes.

    Of polynomials it says how many.
    """
    taken = inspect.signature(kernel_calls.kernel(method, role)).parameters
    fields = {f.name: getattr(method, f.name) for f in attrs.fields(type(method))}
    said = [
        f"{len(value)} steps" if isinstance(value, tuple) else f"{name}={value}"
        for name, value in fields.items()
        if name in taken and value is not None
    ]
    return f"{type(method).__name__}({', '.join(said)})"
