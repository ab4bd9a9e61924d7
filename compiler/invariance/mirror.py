"""Transposing the weights: every expression is the transpose of another one, its mirror image.

If W = W̃ᵀ and G = G̃ᵀ, an expression x has the value (x′)ᵀ, where x′ is x with rows and columns
exchanged and products read backwards, evaluated in the other run. Entries in one column stand row
after row there, and what x has along such an axis is brought into the order of this run. A rule is
invariant when its new weights are their own mirror image.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch

import attrs

from normdsl.compiler.invariance.conditions import NONE, Assumption, Kind
from normdsl.compiler.invariance.group import MIRRORED
from normdsl.compiler.invariance.judgement import Failure, Judgement
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.naming import complete
from normdsl.compiler.invariance.normal_form import normal_form, occurring
from normdsl.compiler.invariance.scope import Scope
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Source
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.recursion import Before, Carry, State, last
from normdsl.expressions.shapes import SCALAR, Dim, Length, Shape
from normdsl.expressions.structure import rebuild
from normdsl.expressions.traversal import Equivalent, walk
from normdsl.norms.base import NormOperation
from normdsl.norms.iterated import Iterated, transposed
from normdsl.show.text import Text

_OTHER: dict[Length, Length] = {Dim.M: Dim.N, Dim.N: Dim.M}
#: Operations for which it matters in which order the entries along an axis stand, or that have an
#: order of their own along it.
_ORDERING = (
    nodes.Cholesky
    | nodes.UpperTriangle
    | nodes.Qr
    | nodes.Eigenbasis
    | nodes.Eigenvalues
    | nodes.Selection
    | nodes.BlockMean
)
_SOURCES = {Source.ROWS: Source.COLS, Source.COLS: Source.ROWS, **MIRRORED}


class Mirror(Equivalent):
    """Mirror images of expressions: x′ with x(W̃ᵀ, G̃ᵀ) = x′(W̃, G̃)ᵀ, which have their facts."""

    def _visit(self, expr: Expr) -> Expr:
        return self(expr.definition) if isinstance(expr, NormOperation) else image(expr, self)


def _exchanged(shape: Shape) -> Shape:
    """Return the shape of a mirror image: a row of n becomes a column of m."""
    return Shape(_other(shape.cols), _other(shape.rows))


def _other(dim: Length) -> Length:
    return _OTHER.get(dim, dim)


@singledispatch
def image(node: Expr, mirror: Mirror) -> Expr:
    """Return the mirror image of a node: where it commutes with transposes, of its arguments.

    Raises:
        TypeError: if nothing says how the node treats rows and columns.
    """
    if not node.commutes_with_transpose:
        raise TypeError(f"no mirror image of the node {type(node).__name__}")
    rebuilt: Expr = rebuild(node, Expr, mirror)
    return rebuilt


@image.register
def _constant(node: Constant, mirror: Mirror) -> Expr:
    return Constant(node.value, _exchanged(node.dims))


@image.register
def _stream(node: nodes.Stream, mirror: Mirror) -> Expr:
    return nodes.Stream(_SOURCES.get(node.source, node.source))


@image.register
def _eye(node: nodes.Eye, mirror: Mirror) -> Expr:
    return nodes.Eye(_other(node.dim))


@image.register
def _carry(node: Carry, mirror: Mirror) -> Expr:
    return attrs.evolve(node, dims=_exchanged(node.dims))


@image.register
def _matmul(node: n.MatMul, mirror: Mirror) -> Expr:
    return n.matmul(mirror(node.right), mirror(node.left))


@image.register
def _transpose(node: n.Transpose, mirror: Mirror) -> Expr:
    return n.transpose(mirror(node.arg))


@image.register
def _eigenbasis(node: nodes.Eigenbasis, mirror: Mirror) -> Expr:
    return n.transpose(nodes.Eigenbasis(mirror(node.arg)))


@image.register
def _qr(node: nodes.Qr, mirror: Mirror) -> Expr:
    return n.transpose(nodes.Qr(n.transpose(mirror(node.arg))))


@image.register
def _top_singular(node: nodes.TopSingular, mirror: Mirror) -> Expr:
    return n.transpose(attrs.evolve(node, arg=n.transpose(mirror(node.arg))))


@image.register
def _selection(node: nodes.Selection, mirror: Mirror) -> Expr:
    return n.transpose(attrs.evolve(node, arg=n.transpose(mirror(node.arg))))


@image.register
def _dct(node: nodes.Dct, mirror: Mirror) -> Expr:
    return n.transpose(nodes.Dct(_other(node.dim)))


@image.register
def _before(node: Before, mirror: Mirror) -> Expr:
    remembered = node.recursion.remembers(node.index)
    if remembered is not None and remembered.is_basis:  # the transpose of what its image was
        return n.transpose(last(n.transpose(mirror(remembered))))
    rebuilt: Expr = rebuild(node, Expr, mirror)
    return rebuilt


@image.register
def _cholesky(node: nodes.Cholesky, mirror: Mirror) -> Expr:
    return n.transpose(nodes.Cholesky(mirror(node.arg)))


@image.register
def _eigenvalues(node: nodes.Eigenvalues, mirror: Mirror) -> Expr:
    return n.transpose(nodes.Eigenvalues(mirror(node.arg)))


@image.register
def _upper_triangle(node: nodes.UpperTriangle, mirror: Mirror) -> Expr:
    return n.transpose(nodes.UpperTriangle(n.transpose(mirror(node.arg))))


@image.register
def _vec(node: nodes.Vec, mirror: Mirror) -> Expr:
    return n.transpose(nodes.Vec(mirror(node.arg)))


@image.register
def _unvec(node: nodes.Unvec, mirror: Mirror) -> Expr:
    return nodes.Unvec(n.transpose(mirror(node.arg)))


@image.register
def _draw(node: nodes.Draw, mirror: Mirror) -> Expr:
    return attrs.evolve(node, dims=_exchanged(node.dims))


@image.register
def _inner(node: nodes.Inner, mirror: Mirror) -> Expr:
    return nodes.Inner(mirror(node.left), mirror(node.right), node.over_cols, node.over_rows)


@image.register
def _quantile(node: nodes.Quantile, mirror: Mirror) -> Expr:
    return nodes.Quantile(mirror(node.arg), mirror(node.share), node.over_cols, node.over_rows)


@image.register
def _kth_largest(node: nodes.KthLargest, mirror: Mirror) -> Expr:
    return nodes.KthLargest(mirror(node.arg), node.k, node.over_cols, node.over_rows)


@image.register
def _block_mean(node: nodes.BlockMean, mirror: Mirror) -> Expr:
    return nodes.BlockMean(mirror(node.arg), node.cols, node.rows)


@image.register
def _iterated(node: Iterated, mirror: Mirror) -> Expr:
    return attrs.evolve(node, arg=mirror(node.arg), parts=tuple(map(transposed, node.parts)))


@image.register
def _reduce(node: nodes.Reduce, mirror: Mirror) -> Expr:
    return nodes.Reduce(node.reducer, mirror(node.arg), node.over_cols, node.over_rows)


def judge(inference: Scope, expr: Expr) -> tuple[Judgement, ...]:
    """Return the judgement that an expression is the transpose of its mirror image."""
    if _orders(expr):
        why = (
            "the order of entries in one column is another one where rows and columns change places"
        )
        raise Failure(expr, why)
    mirror = inference.memory.setdefault("mirror", Mirror())
    below = expr.recursion.bodies if isinstance(expr, State) else expr.children
    premises = tuple(j for child in below for j in inference.judge(child))
    conditions = NONE.union(*(p.conditions for p in (*begun(inference, expr), *premises)))
    # A number of the layer is the same draw in both runs; a matrix is one of the same distribution.
    if isinstance(expr, nodes.Draw) and expr.dims != SCALAR:
        conditions = frozenset({Assumption(Kind.MOVED_DRAW, expr)})
    why = "its mirror image: rows and columns exchanged"
    return (Judgement(expr, Law(twin=mirror(expr)), why, conditions, premises),)


def _orders(expr: Expr) -> bool:
    """Return whether an operation depends on the order of all entries, or has an order of its own.

    Between entries in one column, the others run row after row of the transpose.
    """
    lengths = {d for x in (expr, *expr.children) for d in (x.shape.rows, x.shape.cols)}
    return isinstance(expr, _ORDERING) and Dim.MN in lengths


def begun(inference: Scope, expr: Expr) -> tuple[Judgement, ...]:
    """Return the judgements of the initial values of a state."""
    starts = expr.recursion.inits if isinstance(expr, State) else ()
    return tuple(j for start in starts for j in inference.judge(start))


def image_names(names: Mapping[Expr, str]) -> dict[Expr, str]:
    """Return names for the mirror images of named expressions: of the twin, or with a prime."""
    mirror, known = Mirror(), {normal_form(x): name for x, name in names.items()}
    return {
        (image := mirror(x)): known.get(normal_form(image), f"{name}′") for x, name in names.items()
    }


def one_sided(update: Expr, names: Mapping[Expr, str]) -> Failure:
    """Return the failure of a rule that is not its own mirror image: its first one-sided part.

    Parts that the author named are looked at first; a part that the normal form writes in another
    way is not mentioned.
    """
    mirror, present = Mirror(), occurring(normal_form(update))
    shown = {**image_names(names), **names}
    wholes = _wholes(update)
    for part in [*(x for x in wholes if x in names), *wholes]:
        image = mirror(part)
        if normal_form(part) in present and normal_form(image) not in present:
            notation = Text(complete(shown, [image]))
            called = f"{notation(image).text} ← " if isinstance(image, State) else ""
            meant = called + notation.define(image).text
            return Failure(part, f"its mirror image, {meant}, does not occur in the rule")
    return Failure(update, "its rows and its columns take different parts in it")


def _wholes(root: Expr) -> list[Expr]:
    """Return the parts of an expression that are not a piece of a longer sum or product."""
    parts = walk(root)
    joined = n.Add | n.Mul | n.MatMul
    pieces = {c for x in parts if isinstance(x, joined) for c in x.children if type(c) is type(x)}
    leaves = Carry | nodes.Eye | Constant
    return [x for x in parts if x not in pieces and not isinstance(x, leaves)]
