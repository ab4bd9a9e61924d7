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
from normdsl.expressions.streams import cols, rows
from normdsl.vocabulary.averages import eye_like, prev, rate, zeros_like
from normdsl.vocabulary.entrywise import maximum
from normdsl.vocabulary.matrices import inverse


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
