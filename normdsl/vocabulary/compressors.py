"""Compressors: what workers send in the place of an array, and how much of it that leaves out.

C is contractive with the factor α in (0, 1] if E ‖C(x) − x‖² ≤ (1 − α) ‖x‖²_F for all x, which is
what error feedback needs (Richtárik, Sokolov and Fatkhullin, 2021, arXiv:2106.05203). All entries
of a layer are compressed together. Random ones draw the same on all workers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Generic, ParamSpec

from normdsl.errors import DomainError, shown
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.vocabulary.draws import uniform_like
from normdsl.vocabulary.entrywise import abs, mod, reciprocal, sign, where
from normdsl.vocabulary.reductions import kth_largest, max, mean, quantile

P = ParamSpec("P")


class Compressor(Generic[P]):
    """A function of an expression that is contractive, and says by how much.

    Args:
        function: the compressor. factor: its α, from the number of entries and its settings.

    Example:
        >>> import normdsl as nd
        >>> print(nd.sign_compress(nd.G))
        sign(G) (sum[ij](abs(G)) / (m n))
        >>> nd.top_k.contraction(1000, 10)
        0.01
    """

    def __init__(self, function: Callable[P, Expr], factor: Callable[..., float]) -> None:
        functools.update_wrapper(self, function)
        self._function, self._factor = function, factor

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Expr:
        """Return what is sent of an expression."""
        return self._function(*args, **kwargs)

    def contraction(self, entries: int, *settings: Any) -> float:
        """Return α: of any array of so many entries, E ‖C(x) − x‖² is at most (1 − α) ‖x‖².

        No larger α holds for all arrays.

        Args:
            entries: how many the array has. settings: as the compressor takes them after x.

        Raises:
            DomainError: for settings that the compressor does not take.
        """
        return self._factor(entries, *settings)


def contracting(
    factor: Callable[..., float],
) -> Callable[[Callable[P, Expr]], Compressor[P]]:
    """Return a decorator that tells a compressor's factor."""
    return lambda function: Compressor(function, factor)


def _kept(entries: int, k: Any) -> float:
    """Return the share of entries that the k largest are; of a share, those above its quantile."""
    _require_count(k)
    if isinstance(k, int):
        return min(k, entries) / entries
    kept: int = entries - math.ceil((1 - k) * (entries - 1))
    return kept / entries


@contracting(_kept)
def top_k(x: Any, k: Any) -> Expr:
    """Return x with all but its largest entries, in magnitude, set to 0.

    Contractive with α = k / d, for d entries. Of a share s, α = (d − ⌈(1 − s)(d − 1)⌉) / d, which
    is s up to one entry. Equal entries are kept or left out together.

    Args:
        x: the array. k: how many entries, a whole number; or which share of them, in (0, 1), a
            number or a hyper-parameter `share: nd.Share`.

    Raises:
        DomainError: for anything else.

    Example:
        >>> import normdsl as nd
        >>> print(nd.top_k(nd.G, 10))
        where(abs(G) ≥ max10[ij](abs(G)), G, 0)
        >>> nd.top_k.contraction(1000, 0.1)
        0.1
    """
    x = as_expr(x)
    return _largest(x, abs(x), k)


@contracting(_kept)
def random_k(x: Any, k: Any, key: int = 0) -> Expr:
    """Return x with all but k random entries set to 0, others at every step.

    Contractive in expectation, with α = k / d for d entries, as `nd.top_k` is for each x; times
    d / k it is unbiased. All workers keep the same entries, so that a mean has no more of them.

    Args:
        x: the array. k: how many entries, or which share of them. key: tells draws apart.

    Raises:
        DomainError: for any other k.

    Example:
        >>> import normdsl as nd
        >>> print(nd.random_k(nd.G, 10))
        where(u ≥ max10[ij](u), G, 0)
    """
    x = as_expr(x)
    return _largest(x, uniform_like(x, key), k)


@contracting(lambda entries: 1 / entries)
def sign_compress(x: Any) -> Expr:
    """Return the signs of x times the mean magnitude of its entries, ‖x‖₁ / d · sign(x).

    ‖C(x) − x‖² is ‖x‖² − ‖x‖₁² / d if no entry is 0, and less otherwise: α is 2/π for many normal
    entries, and 1/d if one is far larger than all others (Bernstein et al., 2018, arXiv:1802.04434;
    Karimireddy et al., 2019, arXiv:1901.09847).

    Example:
        >>> import normdsl as nd
        >>> print(nd.sign_compress(nd.G))
        sign(G) (sum[ij](abs(G)) / (m n))
    """
    x = as_expr(x)
    return sign(x) * mean(abs(x))


def _grid(bits: int) -> int:
    """Return how many steps there are from 0 to the largest number, one bit being the sign."""
    if type(bits) is not int or bits < 2:
        raise DomainError(
            f"quantize to {shown(bits)} bits",
            why="one bit is the sign, and a whole number of others tells a magnitude",
            hint="use bits=2, for −1, 0 and 1, or more",
        )
    return (1 << bits - 1) - 1


@contracting(lambda entries, bits: 4 * _grid(bits) ** 2 / (4 * _grid(bits) ** 2 + entries - 1))
def quantize(x: Any, bits: int) -> Expr:
    """Return x with each entry rounded to the nearest of 2^bits − 1 even steps, max |x| the last.

    With L = 2^(bits − 1) − 1 steps on each side of 0, α = 4 L² / (4 L² + d − 1) for d entries: all
    but the largest may be half a step, and be lost.

    Args:
        x: the array. bits: of each entry, at least 2; a scale for the array comes on top.

    Raises:
        DomainError: for any other number of bits.

    Example:
        >>> import normdsl as nd
        >>> nd.quantize.contraction(1000, 8) > 0.98
        True
    """
    x = as_expr(x)
    step = max(abs(x)) / _grid(bits)
    nearest = abs(x) * reciprocal(step) + 1 / as_expr(2)
    return sign(x) * step * (nearest - mod(nearest, 1))


def _require_count(k: Any) -> None:
    """Refuse what is neither a number of entries nor a share of them."""
    if isinstance(k, Expr):
        return
    if not (type(k) is int and k >= 1) and not (isinstance(k, float) and 0 < k < 1):
        raise DomainError(
            f"keep {shown(k)} entries",
            why="a whole number, at least 1, says how many, and a share of them lies in (0, 1)",
            hint="use k=10, k=0.1, or a hyper-parameter share: nd.Share = 0.1",
        )


def _largest(x: Expr, scores: Expr, k: Any) -> Expr:
    """Return x where scores, which are ≥ 0, are among the largest, and 0 elsewhere."""
    _require_count(k)
    least = kth_largest(scores, k) if isinstance(k, int) else quantile(scores, 1 - as_expr(k))
    return where(scores >= least, x, 0)
