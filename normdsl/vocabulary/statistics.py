"""Statistics of a stream, of which preconditioners are made.

Most are one expression: `x * x` entry by entry, `x @ x.T` and `x.T @ x` (Gram matrices),
`nd.sum(x * x, over="cols")` by rows, `nd.block_mean(x * x, cols=64)` by blocks; `nd.ema` averages
one over steps, `nd.accumulate` adds up. Here are those that take more than that.
"""

from __future__ import annotations

from typing import Any

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.recursion import fix
from normdsl.expressions.streams import W, cols, rows
from normdsl.vocabulary.averages import eye_like, prev, rate, zeros_like
from normdsl.vocabulary.draws import normal_like
from normdsl.vocabulary.entrywise import maximum, reciprocal
from normdsl.vocabulary.matrices import inverse, vec
from normdsl.vocabulary.queries import hessian_product
from normdsl.vocabulary.reductions import inner


def running_max(x: Any) -> Expr:
    """Return the largest value so far, entry by entry: s ← max(s, x) from zero.

    Example:
        >>> import normdsl as nd
        >>> print(nd.running_max(nd.G * nd.G))
        fix(max(s_old, G²))
    """
    x = as_expr(x)
    largest: Expr = fix(lambda s: maximum(s, x), zeros_like(x))
    return largest


def coupled_grams(x: Any, beta: Any, start: Any = 1) -> tuple[Expr, Expr]:
    """Return KL-Shampoo's factors L (m×m) and R (n×n), averages that precondition each other.

        L ← β L + (1 − β)/n · X R⁻¹ Xᵀ,    R ← β R + (1 − β)/m · Xᵀ L⁻¹ X

    with the old factors on the right, from start · I: moving averages of the fixed point that
    minimises the Kullback-Leibler divergence of N(0, L ⊗ R) (Lin et al., 2025, arXiv:2509.03378).
    Unlike Gram matrices, both move along with any affine change of the weights.

    Args:
        x: the stream. beta: β, in [0, 1). start: multiple of the identity they start from.

    Example:
        >>> import normdsl as nd
        >>> L, R = nd.coupled_grams(nd.G, 0.9)
        >>> print(L)
        fix(9/10 s_old + (1/10 / n) G r_old⁻¹ Gᵀ)
    """
    x, b = as_expr(x), rate(beta)

    # Divided by n and by m, the factors of x with entries of variance 1 stay near I.
    def step(left: Expr, right: Expr) -> tuple[Expr, Expr]:
        return (
            b * left + (1 - b) / cols * (x @ inverse(right) @ x.T),
            b * right + (1 - b) / rows * (x.T @ inverse(left) @ x),
        )

    factors: tuple[Expr, Expr] = fix(step, (start * eye_like(x @ x.T), start * eye_like(x.T @ x)))
    return factors


def bfgs_update(h: Any, s: Any, y: Any) -> Expr:
    """Return what BFGS makes of an inverse Hessian H by a step s and the change y of the gradient.

        (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ,  ρ = 1/⟨s, y⟩, where ⟨s, y⟩ > 0, otherwise H

    It takes y to s, and is positive definite if H is (Broyden, Fletcher, Goldfarb and Shanno, 1970;
    Nocedal and Wright, 2006, section 6.1). Multiplied out, as here, it takes no product of two
    matrices. Columns s = nd.vec(…) are of all entries, or of those of a subspace.

    Args:
        h: H, a square matrix. s: a column. y: a column.

    Example:
        >>> import normdsl as nd
        >>> s, y = nd.vec(nd.W - nd.prev(nd.W, init=nd.W)), nd.vec(nd.G - nd.prev(nd.G))
        >>> H = nd.fix(lambda H: nd.bfgs_update(H, s, y), 0.1 * nd.eye_like(s @ s.T))
        >>> print(nd.unvec(H @ nd.vec(nd.G)).shape)
        m×n
    """
    h, s, y = as_expr(h), as_expr(s), as_expr(y)
    rho = reciprocal(maximum(inner(s, y), 0))  # which is 0 where the maximum is
    over, beside = h @ y, h.T @ y
    along = rho * (1 + rho * inner(y, over)) * s
    changed: Expr = h + along @ s.T - rho * (over @ s.T + s @ beside.T)
    return changed


def fitted_hessian(beta: Any, key: int = 0) -> Expr:
    """Return an estimate of the Hessian on all pairs of entries, mn×mn, fitted by its products.

        B ← B + (1 − β) (r zᵀ + z rᵀ − ⟨z, r⟩/⟨z, z⟩ z zᵀ)/⟨z, z⟩,  r = vec(H z) − B z

    from zero, with normal z. For β = 0 it is the symmetric matrix nearest to B that agrees with H
    on z (Powell, 1970; Gower and Richtárik, 2017, arXiv:1602.01768); a larger β averages over
    samples. Parts of H between layers are not in B, and disturb it if there are some.

    Args:
        beta: β, in [0, 1). key: tells draws apart.

    Example:
        >>> import normdsl as nd
        >>> B = nd.fitted_hessian(0.5)
        >>> print(B.shape, B.facts.symmetric)
        mn×mn True
    """
    draw, b = normal_like(W, key), rate(beta)
    z, product = vec(draw), vec(hessian_product(draw))
    size = inner(z, z)

    def step(old: Expr) -> Expr:
        r = product - old @ z
        half = r - inner(z, r) / (2 * size) * z
        return old + (1 - b) / size * (half @ z.T + z @ half.T)

    fitted: Expr = fix(step, zeros_like(z @ z.T))
    return fitted


def ema_in_basis(x: Any, beta: Any, left: Any, right: Any) -> Expr:
    """Return the moving average of Qᵀ x P, turned along as the bases Q and P change.

        s ← β (Qᵀ Q₋) s (P₋ᵀ P) + (1 − β) Qᵀ x P

    with Q₋ and P₋ the bases of the step before: the old average is turned into the new coordinates,
    as SOAP does when it refreshes its eigenbases (Vyas et al., 2024, arXiv:2409.11321). For bases
    by `nd.eigenbasis` it is `nd.ema(Q.T @ x @ P, beta)`, which turns by itself.

    Args:
        x: the stream. beta: β, in [0, 1). left: Q, m×m. right: P, n×n.

    Example:
        >>> import normdsl as nd
        >>> Q, P = nd.eigenbasis(nd.G @ nd.G.T), nd.eigenbasis(nd.G.T @ nd.G)
        >>> print(nd.ema_in_basis(nd.G, 0.9, Q, P).shape)
        m×n
    """
    x, b, q, p = as_expr(x), rate(beta), as_expr(left), as_expr(right)
    turn, back = q.T @ prev(q), prev(p).T @ p
    now = (1 - b) * (q.T @ x @ p)
    average: Expr = fix(lambda s: b * (turn @ s @ back) + now, zeros_like(x))
    return average
