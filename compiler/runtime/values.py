"""Values of a norm's functions on tensors: for pictures, logs and tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.lowering.derive import Derivation
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.function_text import lengths
from normdsl.compiler.lowering.program import lower
from normdsl.declarations.folding import fold
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError, GradientError, ShapeError
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr, Leaf
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes import Param, Stream
from normdsl.expressions.origins import ANYTHING, Origin
from normdsl.expressions.recursion import State
from normdsl.expressions.shapes import SCALAR, Shape
from normdsl.expressions.streams import G, W, cols, rows
from normdsl.expressions.traversal import walk
from normdsl.norms.base import NormOperation
from normdsl.schedules.schedule import exact
from normdsl.show.notation import Notation, Piece
from normdsl.vocabulary.averages import zeros_like

#: What a tensor has: itself, and its lengths.
GIVEN = (G, rows, cols)


#: Numbers for some expressions.
Given = Mapping[Expr, Any]
NOTHING: Given = MappingProxyType({})


@attrs.frozen(eq=False, repr=False)
class Known(Leaf):
    """A part of a norm whose value is given, in its place; what was known of it still is.

    Args:
        name: of the argument. dims: its shape. known: its facts. of: what it stands for.
    """

    internal = True
    footprint = Footprint.OWN

    name: str
    dims: Shape
    known: Facts
    of: str

    def _infer_shape(self) -> Shape:
        return self.dims

    def _infer_facts(self) -> Facts:
        return self.known

    def _infer_origins(self) -> Origin:
        return ANYTHING

    def _notate(self, n: Notation) -> Piece:
        return n.symbol(self.of)


def values(function: Callable[[Expr], Expr], x: Tensor, given: Given = NOTHING) -> Tensor:
    """Return ‖x‖, ‖x‖_*, lmo(x) or sharp(x), by the SVD in float64 where there is one.

    Args:
        function: of a norm, on expressions. x: matrices, with any number of axes in front.
        given: numbers for expressions that the norm is made of, such as a preconditioner.

    Raises:
        ShapeError: for a tensor with fewer than two axes, or without entries.
        DeclarationError: for a norm that is made of what only a step has, and is not given.
        GradientError: for a tensor that is not of real floating point numbers.
    """
    table = {e: Known(f"given{k}", e.shape, e.facts, str(e)) for k, e in enumerate(given)}
    asked = fold(function(G), table) if table else function(G)
    _require_matrices(asked, x)
    _require_given(asked)
    wide = x if x.device.type == "mps" else x.double()
    if table:
        numbers = {table[e].name: _number(e, value, wide) for e, value in given.items()}
        found = _compiled(asked, table)(torch.zeros_like(wide), wide, **numbers)
    else:
        step = lower(Rule("values", (), zeros_like(W) + asked), exact).step
        (found,) = step(torch.zeros_like(wide), wide, t=torch.ones((), device=x.device))
        found = found[..., 0, 0] if asked.shape == SCALAR else found
    return found.to(x.dtype)


def _number(expr: Expr, value: Any, like: Tensor) -> Tensor:
    """Return what is given for an expression as a tensor."""
    number = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    wanted = 0 if expr.shape == SCALAR else 2
    if number.ndim != wanted:
        raise ShapeError(
            f"put a tensor of shape {tuple(number.shape)} for {expr}",
            at=expr,
            why=f"it is {expr.shape.phrase} expression",
            hint="pass a number" if wanted == 0 else "pass a matrix, torch.tensor([[1.0, 0.5]])",
        )
    return number


def _compiled(asked: Expr, table: Mapping[Expr, Known]) -> Callable[..., Tensor]:
    """Return a value as a function of W, G and what is given."""
    graph = Derivation()(asked)
    inputs: dict[Expr, str] = {known: known.name for known in table.values()}
    emitter = Emitter({}, inputs, exact)
    emitter.count([graph])
    result = emitter(graph).text
    lines = [*lengths(emitter.lines, [result]), *emitter.lines, f"return {result}"]
    namespace: dict[str, Any] = {"torch": torch, **emitter.kernels}
    head = f"def value({', '.join(['W', 'G', *inputs.values()])}):\n    "
    exec(head + "\n    ".join(lines), namespace)

    def value(*args: Tensor, **given: Tensor) -> Tensor:
        found = torch.as_tensor(namespace["value"](*args, **given))
        return found[..., 0, 0] if asked.shape == SCALAR and found.ndim > 1 else found

    return value


def _require_matrices(asked: Expr, x: Tensor) -> None:
    told = f"compute {asked} of a tensor of shape {tuple(x.shape)}"
    if x.ndim < 2 or not x.numel():
        raise ShapeError(
            told,
            why="norms are norms of m×n matrices",
            hint="pass one with two axes or more: x[None] for a row, x[:, None] for a column",
        )
    if not x.is_floating_point():
        raise GradientError(
            told, why=f"its entries are of type {x.dtype}", hint="pass x.float(), or x.double()"
        )


def _require_given(asked: Expr) -> None:
    """Refuse norms with weights that have values in a step alone, and those of all layers."""
    joined = isinstance(asked, NormOperation) and asked.norm.joins_layers
    inputs = (x for x in walk(asked) if isinstance(x, Stream | Param | State) and x not in GIVEN)
    unknown = next(inputs, asked if joined else None)
    if unknown is not None:
        raise DeclarationError(
            f"compute {asked} of a tensor",
            at=unknown,
            why="it has a value in a step of an optimizer alone",
            hint="compute the base norm of what the preconditioner makes of the tensor: for "
            "‖D ∘ X‖₂, nd.spectral.value(D * x); a picture takes numbers, norm.plot(given={D: x})",
        )
