"""The geometry of a rule: its base norm, preconditioners and oracle, read off its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from normdsl.declarations.rule import Rule
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.products import transpose
from normdsl.expressions.origins import Origin
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.traversal import walk
from normdsl.norms.base import Lmo, Norm, Sharp
from normdsl.norms.layers import OverLayers
from normdsl.norms.maps import Compose, Hadamard, Left, LinearMap, Right, Rotate
from normdsl.norms.preconditioned import Preconditioned


@attrs.frozen
class Geometry:
    """What a step of the form T⁻¹ lmo(T⁻* M), or sharp, is made of.

    Args:
        base: the norm without its preconditioners. left: the factors L of ‖L X R‖, first applied
            last. right: R. hadamard: the arrays D of ‖D ∘ X‖. oracle: "lmo" or "sharp". arg: M.
        layers: whether the norm is that of all layers together.
    """

    base: Norm
    left: tuple[Expr, ...]
    right: tuple[Expr, ...]
    hadamard: tuple[Expr, ...]
    oracle: str
    arg: Expr
    layers: bool = False


def geometry(declaration: Rule) -> Geometry | None:
    """Return the geometry of a rule's step; None if its step is not that of one norm.

    The step is an LMO or sharp operator at something made of gradients, times a number that may
    change; beside it, the new weights have summands without gradients only.
    """
    terms = dict.fromkeys(_summands(declaration.weights))
    steps = [x for x in terms if _reads_gradient(x)]
    if len(steps) != 1 or not isinstance(step := steps[0], Lmo | Sharp):
        return None
    if not _reads_gradient(step.arg):
        return None
    norm, layers = step.norm, isinstance(step.norm, OverLayers)
    norm = norm.base if isinstance(norm, OverLayers) else norm
    maps: list[LinearMap] = []
    while isinstance(norm, Preconditioned):
        maps += _simple(norm.map)  # an outer map is applied before an inner one
        norm = norm.base
    oracle = "lmo" if isinstance(step, Lmo) else "sharp"
    left = tuple(f for m in reversed(maps) for f in _left(m))
    right = tuple(f for m in maps for f in _right(m))
    weights = tuple(m.weights for m in maps if isinstance(m, Hadamard))
    return Geometry(norm, left, right, weights, oracle, step.arg, layers)


def _summands(update: Expr) -> Iterator[Expr]:
    """Yield the summands of the new weights, without the numbers they are multiplied by."""
    match update:
        case n.Add(left=x, right=y):
            yield from _summands(x)
            yield from _summands(y)
        case n.Mul(left=c, right=x) if c.shape == SCALAR:
            yield from _summands(x)
        case n.Mul(left=x, right=c) if c.shape == SCALAR:
            yield from _summands(x)
        case _:
            yield update


def _reads_gradient(expr: Expr) -> bool:
    return bool(expr.origins & Origin.GRADIENT)


def _simple(map: LinearMap) -> tuple[LinearMap, ...]:
    return map.maps if isinstance(map, Compose) else (map,)


def _left(map: LinearMap) -> Iterator[Expr]:
    match map:
        case Left(factor=factor):
            yield factor
        case Rotate(left=q):
            yield transpose(q)


def _right(map: LinearMap) -> Iterator[Expr]:
    match map:
        case Right(factor=factor):
            yield factor
        case Rotate(right=q):
            yield q


def definitions(declaration: Rule, parts: tuple[Expr, ...]) -> Mapping[Expr, str]:
    """Return the named expressions that parts of a rule are written with, in order."""
    labels, needed, stack = declaration.labels, set(), [x for p in parts for x in (p, *p.children)]
    while stack:
        expr = stack.pop()
        if expr in labels and expr not in needed:
            needed.add(expr)
            stack += walk(expr)
        elif expr not in labels:
            stack += expr.children
    return {x: name for x, name in labels.items() if x in needed}
