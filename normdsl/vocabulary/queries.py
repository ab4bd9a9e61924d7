"""Queries: the gradient, the loss and Hessian products at points of a rule's own."""

from __future__ import annotations

from typing import Any

from normdsl.errors import DeclarationError, shown
from normdsl.expressions.expr import Expr, simplest
from normdsl.expressions.nodes import Asked, Query
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.streams import W


def gradient(at: Any = W, *, fresh: bool = False) -> Expr:
    """Return ∇f(P), the gradient at a point P on the sample of this step, m×n.

    All layers move to their points together, the closure is evaluated once more, and the weights
    are put back bit by bit; queries at one point share an evaluation. A step is then
    `opt.step(closure)`.

    Args:
        at: the point P, which moves like W if the answer is to move like G.
        fresh: ask on a second sample instead, ∇f′(P): a step is then `opt.step(closure,
            fresh=other)`, where the other closure evaluates one more batch, the same one each time
            that it is called in a step.

    Raises:
        ShapeError: if P is not m×n. DeclarationError: if `fresh` is no truth value.

    Example:
        Sharpness-aware minimisation (Foret et al., 2021, arXiv:2010.01412):

        >>> import normdsl as nd
        >>> @nd.optimizer
        ... def sam(lr=0.1, rho=0.05):
        ...     worst = nd.W - rho * nd.frobenius.lmo(nd.G)
        ...     return nd.W - lr * nd.gradient(at=worst)
        >>> print(sam)
        sam(η: lr = 0.1, ρ: rho = 0.05)
          worst ← W − ρ lmo[‖X‖_F](G)
          W     ← W − η ∇f(worst)
    """
    return simplest(Query(Asked.GRADIENT, as_expr(at), fresh=_truth(fresh)))


def loss_at(point: Any, *, fresh: bool = False) -> Expr:
    """Return f(P), the loss at a point P on the sample of this step, a scalar; see `gradient`.

    Args:
        point: P. fresh: ask on a second sample.

    Raises:
        ShapeError: if P is not m×n. DeclarationError: if `fresh` is no truth value.

    Example:
        >>> import normdsl as nd
        >>> print(nd.loss - nd.loss_at(nd.W - 0.1 * nd.G))
        loss − f(W − 1/10 G)
    """
    return simplest(Query(Asked.LOSS, as_expr(point), fresh=_truth(fresh)))


def hessian_product(along: Any, *, at: Any = W, fresh: bool = False) -> Expr:
    """Return H V, the Hessian of the loss at a point P times a direction V, m×n.

    H is that of all layers together: an entry of H V depends on the directions of all of them. It
    is computed by double backward, for which the closure calls `loss.backward(create_graph=True)`;
    at W that is the evaluation which gives G as well. Approximate the diagonal of H by `z * nd.
    hessian_product(z)` with `z = nd.signs_like(W)` (Hutchinson, 1990).

    Args:
        along: the direction V, which moves like a difference of weights up to a factor.
        at: the point P; default W. fresh: ask on a second sample; see `gradient`.

    Raises:
        ShapeError: if V or P is not m×n. DeclarationError: if `fresh` is no truth value.

    Example:
        >>> import normdsl as nd
        >>> z = nd.signs_like(nd.W)
        >>> print(z * nd.hessian_product(z))
        ζ ∘ (∇²f(W) ζ)
    """
    return Query(Asked.HESSIAN_PRODUCT, as_expr(at), as_expr(along), _truth(fresh))


def gauss_newton_product(along: Any, *, at: Any = W, fresh: bool = False) -> Expr:
    """Return Jᵀ Q J V, the Gauss-Newton matrix of the loss at a point P times a direction V, m×n.

    J is the Jacobian of the model's outputs z by the weights of all layers, Q the Hessian of the
    loss by z: the Hessian without the part that bends z, positive semidefinite where the loss is
    convex in z (Schraudolph, 2002). For likelihoods of exponential families it is Fisher's matrix.
    The closure says what z is by `z = nd.outputs(model(x))`, and calls
    `loss.backward(create_graph=True)`.

    Args:
        along: the direction V, which moves like a difference of weights up to a factor.
        at: the point P; default W. fresh: ask on a second sample; see `gradient`.

    Raises:
        ShapeError: if V or P is not m×n. DeclarationError: if `fresh` is no truth value.

    Example:
        >>> import normdsl as nd
        >>> print(nd.gauss_newton_product(nd.G))
        GN(W) G
    """
    return Query(Asked.GAUSS_NEWTON_PRODUCT, as_expr(at), as_expr(along), _truth(fresh))


def hessian(*, at: Any = W, fresh: bool = False) -> Expr:
    """Return ∇²f(P), the Hessian of the loss in the entries of this layer, mn×mn and symmetric.

    Entries stand in the order of `nd.vec`: nd.vec(V).T @ nd.hessian() @ nd.vec(V) is the curvature
    along V of this layer alone. What layers share is left out. It takes as many products with the
    Hessian as all layers have entries, so that it is for small ones; see `hessian_product`.

    Args:
        at: the point P; default W. fresh: ask on a second sample; see `gradient`.

    Raises:
        ShapeError: if P is not m×n. DeclarationError: if `fresh` is no truth value.

    Example:
        Newton's method, layer by layer:

        >>> import normdsl as nd
        >>> newton = nd.optimizer(
        ...     lambda lr=1.0: nd.W - lr * nd.unvec(nd.inverse(nd.hessian()) @ nd.vec(nd.G))
        ... )
        >>> newton.check("translation", witnesses=False).answer
        'invariant'
    """
    return Query(Asked.HESSIAN, as_expr(at), fresh=_truth(fresh))


def _truth(fresh: object) -> bool:
    if isinstance(fresh, bool):
        return fresh
    raise DeclarationError(
        f"ask on a sample that is fresh={shown(fresh)}",
        why="a query is on the sample of the step, or on one more of which there is one in a step",
        hint="write fresh=True, and step by opt.step(closure, fresh=other_closure)",
    )
