"""Linear systems, solved by products alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from normdsl.errors import DeclarationError, ShapeError, kind, shown
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.traversal import walk
from normdsl.vocabulary.averages import zeros_like
from normdsl.vocabulary.entrywise import reciprocal, sqrt, where
from normdsl.vocabulary.reductions import inner
from normdsl.vocabulary.reductions import sum as total

#: The square of what a residual comes down to in float64, and by which float32 may be divided.
_ROUNDING = 1e-24


def solve_linear(operator: Callable[[Expr], Any], b: Any, iterations: int) -> Expr:
    """Return what conjugate gradients make of A X = B in a few iterations, from X = 0.

        α = ⟨R, R⟩ / ⟨P, A P⟩,  X ← X + α P,  R ← R − α A P,  P ← R + ⟨R, R⟩ / ⟨R₋, R₋⟩ P

    from R = P = B / ‖B‖ (Hestenes and Stiefel, 1952); the result is ‖B‖ X. A has to be symmetric
    and positive definite; then the error in the norm of A falls with every iteration, and is 0
    after as many as there are entries. From ‖R‖ ≤ 1e-12 on, as where R = 0, nothing more is added.

    Each iteration costs one product A P: with `nd.hessian_product` one double backward on the
    graph of one evaluation, for which the closure calls `loss.backward(create_graph=True)`.
    Products of all layers together, as those are, are joined by inner products over all layers.

    Args:
        operator: X ↦ A X, of expressions with the shape of B. b: B.
        iterations: how many, from 1 to about 7, as formulas are not nested without end.

    Raises:
        DeclarationError: for an operator that is no function, or a number of iterations below 1.
        ShapeError: if A X has not the shape of B.

    Example:
        A damped Newton step (Martens, 2010):

        >>> import normdsl as nd
        >>> @nd.optimizer
        ... def newton_cg(lr=1.0, damping=1e-3):
        ...     step = nd.solve_linear(lambda v: nd.hessian_product(v) + damping * v, nd.G, 3)
        ...     return nd.W - lr * step
        >>> newton_cg.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    b = as_expr(b)
    _require_legal(operator, iterations)
    over_layers = _joins_layers(operator, b)
    size = sqrt(_inner(b, b, over_layers))
    r = p = b * reciprocal(size)
    x, left = zeros_like(b), _left(r, over_layers)
    for _ in range(iterations):
        image = as_expr(operator(p))
        rate = left * reciprocal(_inner(p, image, over_layers))
        x, r = x + rate * p, r - rate * image
        before, left = left, _left(r, over_layers)
        p = r + left * reciprocal(before) * p
    return size * x


def _left(r: Expr, over_layers: bool) -> Expr:
    """Return ‖R‖² of what is left of a vector of length 1, 0 where that is rounding alone."""
    square = _inner(r, r, over_layers)
    return where(square > _ROUNDING, square, 0)


def _inner(x: Expr, y: Expr, over_layers: bool) -> Expr:
    return total(inner(x, y), over="layers") if over_layers else inner(x, y)


def _joins_layers(operator: Callable[[Expr], Any], p: Expr) -> bool:
    """Return whether an operator reads p in all layers."""
    image, own = as_expr(operator(p)), set(walk(p))
    _require_shape(image, p)
    return any(x.footprint & Footprint.LAYERS for x in walk(image) if x not in own)


def _require_legal(operator: object, iterations: object) -> None:
    if not callable(operator) or isinstance(operator, Expr):
        raise DeclarationError(
            f"solve a linear system with {kind(operator)}",
            at=operator if isinstance(operator, Expr) else None,
            why="conjugate gradients need products A X alone, as a function of X",
            hint="write nd.solve_linear(lambda v: L @ v, b, iterations=3)",
        )
    if type(iterations) is not int or iterations < 1:
        raise DeclarationError(
            f"solve a linear system in {shown(iterations)} iterations",
            why="a formula is written out for each of them, and it is a whole number from 1 on",
            hint="use 3 to 5",
        )


def _require_shape(image: Expr, p: Expr) -> None:
    if image.shape != p.shape:
        raise ShapeError(
            f"solve A X = B for {p.shape.phrase} matrix B",
            at=image,
            why=f"A X is {image.shape.phrase} there",
            hint="pass a function whose value has the shape of its argument",
        )
