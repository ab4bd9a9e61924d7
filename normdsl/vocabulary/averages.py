"""Averages, momenta, sums and past values of streams, each an instance of `fix`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from normdsl.errors import DeclarationError, DomainError, ShapeError
from normdsl.expressions.domains import FRACTION, NarrowDomain
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Eye, Param, Source, Stream
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.recursion import After, Before, fix
from normdsl.expressions.streams import t


def zeros_like(x: Any) -> Expr:
    """Return the array of zeros with the shape of `x`.

    Example:
        >>> import normdsl as nd
        >>> nd.zeros_like(nd.G @ nd.G.T)
        <Constant m×m: 0>
    """
    return Constant(Fraction(0), as_expr(x).shape)


def eye_like(x: Any) -> Expr:
    """Return the identity with the shape of the square matrix `x`.

    Raises:
        ShapeError: if `x` is not square.

    Example:
        >>> import normdsl as nd
        >>> print(nd.G @ nd.G.T + 0.1 * nd.eye_like(nd.G @ nd.G.T))
        G Gᵀ + 1/10 I
    """
    x = as_expr(x)
    if not x.shape.square:
        raise ShapeError(
            f"form an identity matrix like {x.shape.phrase}",
            at=x,
            why="the identity is square",
            hint="use it for G @ G.T (m×m) or G.T @ G (n×n)",
        )
    return Eye(x.shape.rows)


def rate(value: Any, *, closed: bool = False) -> Expr:
    """Return `value` as the rate of an average, known to lie in [0, 1), or [0, 1] if closed.

    Raises:
        DomainError: if it is not known to lie there.
    """
    beta = as_expr(value)
    if isinstance(beta, Param) and not beta.domain.stated:
        # Not an error of the user's: the rule is traced again, with this domain.
        raise NarrowDomain(beta.name, FRACTION)
    at_one = isinstance(beta, Constant) and beta.value == 1 and not closed
    if at_one or not (beta.facts.low >= 0 and beta.facts.high <= 1):
        raise DomainError(
            f"use {beta} as the rate of an average",
            at=beta,
            why=f"a rate must be a number with 0 ≤ beta {'≤' if closed else '<'} 1",
            hint="write the stream first and a number second, nd.ema(G, 0.9), or annotate the "
            f"hyper-parameter, {beta.name if isinstance(beta, Param) else 'beta'}: nd.Fraction",
        )
    return beta


def momentum(x: Any, buffer: Any, readout: Any = None, *, normalized: bool = True) -> Expr:
    """Return the momentum of a stream, with one rate to store it and one to read it.

    s ← b s + (1 − b) x is stored, and r s₋ + (1 − r) x is read, s₋ being the value before.

    r = b is the exponential average (the default), r = b² Nesterov's form of it, r = 0.9 with
    b = 0.99 that of Lion (Chen et al., 2023, arXiv:2302.06675). With `normalized=False` everything
    is divided by 1 − b, which is the heavy ball s ← b s + x.

    Args:
        x: the stream.
        buffer: b, in [0, 1).
        readout: r, in [0, 1]; default b.
        normalized: average (True) or sum (False).

    Example:
        >>> import normdsl as nd
        >>> print(nd.momentum(nd.G, 0.9, normalized=False))
        fix(9/10 s_old + G)
        >>> print(nd.momentum(nd.G, 0.9, readout=0.5))
        ½ before(fix(9/10 s_old + 1/10 G)) + ½ G
    """
    x, b = as_expr(x), rate(buffer)
    r = b if readout is None else rate(readout, closed=True)
    gain = 1 - b if normalized else as_expr(1)
    share = 1 - r if normalized or r == b else (1 - r) / (1 - b)

    def read(old: Expr, new: Expr) -> Expr:
        # With equal rates the new state is what is read, and the old one is not needed.
        return new if r == b else r * old + share * x

    averaged: Expr = fix(lambda s: b * s + gain * x, zeros_like(x), read)
    return averaged


def ema(x: Any, beta: Any, *, debias: bool = False, init: Any = None) -> Expr:
    """Return the exponential moving average s ← β s + (1 − β) x, from `init` (default zero).

    Args:
        x: the stream.
        beta: β, in [0, 1).
        debias: divide by 1 − β^t, which removes the bias of the zero start
            (Kingma and Ba, 2014, arXiv:1412.6980).
        init: what it starts from, as a multiple of the identity: 0.1 * nd.eye_like(x).

    Raises:
        DeclarationError: if the bias of a zero start is to be removed from another one.

    Example:
        >>> import normdsl as nd
        >>> print(nd.ema(nd.G, 0.9))
        fix(9/10 s_old + 1/10 G)
    """
    if init is None:
        average = momentum(x, beta)
        return average / (1 - as_expr(beta) ** t) if debias else average
    if debias:
        raise DeclarationError(
            "remove the bias of an average that starts from a value",
            at=as_expr(init),
            why="1 − β^t is what a start from zero lacks",
            hint="leave out debias or init",
        )
    x, b = as_expr(x), rate(beta)
    started: Expr = fix(lambda s: b * s + (1 - b) * x, init)
    return started


def accumulate(x: Any, init: Any = None) -> Expr:
    """Return the running sum s ← s + x, from `init` (default zero).

    Example:
        >>> import normdsl as nd
        >>> print(nd.accumulate(nd.G * nd.G))
        fix(s_old + G²)
    """
    x = as_expr(x)
    total: Expr = fix(lambda s: s + x, zeros_like(x) if init is None else init)
    return total


def prev(x: Any, lag: int = 1, init: Any = None) -> Expr:
    """Return the value of a stream `lag` steps ago; before that, `init`.

    Without one, zero; of the weights W, those that training started from, so that W − prev(W) is
    the last step and 0 at first, as in the heavy ball W ← W − lr G + β (W − prev(W)).

    Raises:
        DeclarationError: if `lag` is not a positive whole number (a non-causal recursion).

    Example:
        >>> import normdsl as nd
        >>> print(nd.G - nd.prev(nd.G))
        G − before(fix(G))
    """
    x = as_expr(x)
    if not isinstance(lag, int) or lag < 1:
        raise DeclarationError(
            f"take the value of a stream {lag} steps ago: a non-causal recursion",
            at=x,
            why="a rule may read the past only; this step's value is the stream itself",
            hint="use a lag of 1 or more",
        )
    weights = isinstance(x, Stream) and x.source is Source.WEIGHTS
    before = x if weights else zeros_like(x)
    start = before if init is None else as_expr(init)
    past: Expr
    if isinstance(x, After) and x.recursion.inits[x.index] == start:
        past = Before(x.recursion, x.index)  # the state itself remembers
    else:
        past = fix(lambda s: x, start, read=lambda old, new: old)
    return past if lag == 1 else prev(past, lag - 1, start)


def recent(x: Any, k: int) -> list[Expr]:
    """Return the last k values of a stream, the newest first: a window, as `prev` has them.

    It costs k − 1 states in the shape of x, and each value is an expression of its own.

    Raises:
        DeclarationError: if k is not a whole number ≥ 1.

    Example:
        >>> import normdsl as nd
        >>> now, before = nd.recent(nd.G, 2)
        >>> now == nd.G, before == nd.prev(nd.G)
        (True, True)
    """
    if type(k) is not int or k < 1:
        raise DeclarationError(
            f"keep {k!r} values of a stream",
            at=as_expr(x),
            why="a window holds a whole number of values, this step's at least",
            hint="use nd.recent(x, 5)",
        )
    return [as_expr(x), *(prev(x, lag) for lag in range(1, k))]
