"""Schedules of the step index: factors in [0, 1] by which a rule multiplies its learning rate.

    rate = lr * nd.warmup(100) * nd.cosine(10_000)
    return W + rate * nd.spectral.lmo(nd.ema(G, 0.9))

Each is an expression of `nd.t`, so that it is checked, typeset and lowered with the rule, needs no
scheduler beside the optimizer, and is saved with the rule. Steps are counted as those taken before
this one, t − 1, as torch.optim.lr_scheduler does. Numbers of steps may be hyper-parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from normdsl.errors import DeclarationError, DomainError
from normdsl.expressions.domains import POSITIVE, NarrowDomain
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import Constant, as_expr, is_constant
from normdsl.expressions.streams import t
from normdsl.vocabulary.entrywise import cos, maximum, minimum, mod, sqrt, where


def warmup(steps: Any) -> Expr:
    """Return min(1, t / steps): the rate rises evenly from the first step to step `steps`.

    `LinearLR(start_factor=1 / steps, total_iters=steps − 1)` of torch (Goyal et al., 2017,
    arXiv:1706.02677).

    Raises:
        DomainError: for a number of steps that is not positive.

    Example:
        >>> import normdsl as nd
        >>> print(nd.warmup(100))
        min(1, 0.01 t)
    """
    return minimum(1, t / _count(steps, "warm up over"))


def linear_decay(start: Any, end: Any) -> Expr:
    """Return 1 for `start` steps, then what falls evenly to 0 after `end` steps, and stays there.

    `LinearLR(1, 0, total_iters=end)` of torch, for start = 0 (Defazio et al., 2023,
    arXiv:2310.07831).

    Raises:
        DomainError: for numbers of steps of which the second is not the larger.

    Example:
        >>> import normdsl as nd
        >>> print(nd.linear_decay(0, 50))
        max(0, 1 − 0.02 (t − 1))
    """
    return _within(1 - _share(start, end))


def cosine(total: Any, floor: Any = 0, *, start: Any = 0) -> Expr:
    """Return half a cosine from 1 to `floor`: floor + (1 − floor) ½ (1 + cos π x).

    x is the share of the way from `start` to `total` steps, where it ends, and the floor stays.
    `CosineAnnealingLR(T_max=total, eta_min=floor · lr)` of torch (Loshchilov and Hutter, 2016,
    arXiv:1608.03983), whose rate rises again after that.

    Raises:
        DomainError: for numbers of steps that are not in order.

    Example:
        >>> import normdsl as nd
        >>> print(nd.cosine(50))
        ½ (1 + cos(π min(1, 0.02 (t − 1))))
    """
    half = (1 + cos(math.pi * _within(_share(start, total)))) / 2
    least = as_expr(floor)
    return least + (1 - least) * half


def piecewise(factors: Mapping[Any, Any]) -> Expr:
    """Return 1, then one factor after another, each from a number of steps on.

    `MultiStepLR` of torch, for {1000: 0.1, 2000: 0.01}.

    Args:
        factors: by the number of steps after which it applies, in order, the factor.

    Raises:
        DeclarationError: if it is empty, or numbers of steps are not in order.

    Example:
        >>> import normdsl as nd
        >>> print(nd.piecewise({1000: 0.1}))
        where(t > 1000, 1/10, 1)
    """
    steps = [as_expr(x) for x in factors]
    known = [x.value for x in steps if isinstance(x, Constant)]
    if not steps or any(b <= a for a, b in itertools.pairwise(known)):
        raise DeclarationError(
            "change the rate step by step",
            why="there are no steps" if not steps else "its numbers of steps are not in order",
            hint="write nd.piecewise({1000: 0.1, 2000: 0.01})",
        )
    found = as_expr(1)
    for after, factor in zip(steps, factors.values(), strict=True):
        found = where(t > after, factor, found)
    return found


def wsd(rise: Any, start: Any, total: Any) -> Expr:
    """Return a warm-up over `rise` steps, then 1, then a linear decay from `start` to `total`.

    (Hu et al., 2024, arXiv:2404.06395; Hägele et al., 2024, arXiv:2405.18392.)

    Raises:
        DomainError: for numbers of steps that are not positive, or not in order.

    Example:
        >>> import normdsl as nd
        >>> print(nd.wsd(10, 80, 100))
        min(1, 1/10 t) min(1, max(0, 1 − 0.05 (t − 81)))
    """
    return warmup(rise) * linear_decay(start, total)


def inverse_sqrt(steps: Any) -> Expr:
    """Return min(1, √(steps / t)): 1 up to step `steps`, then a fall as that of 1/√t.

    Times `nd.warmup(steps)`, that of Vaswani et al. (2017, arXiv:1706.03762).

    Raises:
        DomainError: for a number of steps that is not positive.

    Example:
        >>> import normdsl as nd
        >>> print(nd.inverse_sqrt(100))
        min(1, √(100 / t))
    """
    return minimum(1, sqrt(_count(steps, "hold the rate for") / t))


def _share(start: Any, end: Any) -> Expr:
    """Return the share of the way from `start` to `end` steps that is behind."""
    begun, over = as_expr(start), _count(end, "decay the rate over")
    if is_constant(begun, 0):
        return (t - 1) / over
    length = over - begun
    if length.facts.high <= 0:
        raise DomainError(
            f"decay the rate from step {begun} to step {over}",
            at=over,
            why="it has to begin before it ends",
            hint="pass the larger number of steps second",
        )
    return (t - (1 + begun)) / length


def _within(x: Expr) -> Expr:
    """Return x held in [0, 1]."""
    x = x if x.facts.nonnegative else maximum(0, x)
    return x if x.facts.high <= 1 else minimum(1, x)


def _count(value: Any, what: str) -> Expr:
    """Return a number of steps, known to be positive."""
    steps = as_expr(value)
    if isinstance(steps, Param) and not steps.domain.stated:
        # Not an error of the user's: the rule is traced again, with this domain.
        raise NarrowDomain(steps.name, POSITIVE)
    if not steps.facts.nonnegative or steps.facts.high <= 0:
        raise DomainError(
            f"{what} {steps} steps",
            at=steps,
            why="a number of steps is positive",
            hint="pass a number above 0, or annotate the hyper-parameter: nd.Positive",
        )
    return steps


def every(k: Any, x: Any, otherwise: Any) -> Expr:
    """Return x at the steps k, 2 k, 3 k, …, and something else in between.

    Steps count from 1. Both are computed at every step, and must move alike.

    Args:
        k: how often, a whole number or hyper-parameter, as `k: nd.Count = 5`.
        x: the value at every k-th step. otherwise: that at all others.

    Raises:
        DomainError: for a k that is not positive.

    Example:
        >>> import normdsl as nd
        >>> print(nd.every(5, nd.G, 0))
        where(mod(t, 5) < 1, G, 0)
    """
    return where(mod(t, _count(k, "act at every k-th step for")) < 1, x, otherwise)
