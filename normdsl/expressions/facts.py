"""What is known of an expression's values: ranges, symmetry, definiteness, orthogonality.

Facts are inferred with the shape when a node is built, by interval arithmetic and the closure
properties of the cone of positive semidefinite matrices. By them `sqrt` and
`matrix_power` refuse an argument that is not known to be in their domain, and norms refuse a
rotation that is not known to be orthogonal.
"""

from __future__ import annotations

import math

import attrs


@attrs.frozen
class Facts:
    """Bounds on every entry, and properties of a square matrix.

    Args:
        low: lower bound of every entry. high: upper bound of every entry.
        symmetric: equal to its own transpose. psd: symmetric with no negative eigenvalue.
        orthogonal: Q with QᵀQ = I.
    """

    low: float = -math.inf
    high: float = math.inf
    symmetric: bool = False
    psd: bool = False
    orthogonal: bool = False

    @property
    def unimodular(self) -> bool:
        """Whether every entry is known to be 1, or every one −1."""
        return self.low == self.high in (-1, 1)

    @property
    def nonnegative(self) -> bool:
        """Whether no entry can be negative."""
        return self.low >= 0

    def __and__(self, other: Facts) -> Facts:
        """Return what is known if both are true of the same value."""
        return Facts(
            max(self.low, other.low),
            min(self.high, other.high),
            self.symmetric or other.symmetric,
            self.psd or other.psd,
            self.orthogonal or other.orthogonal,
        )

    def __add__(self, other: Facts) -> Facts:
        return Facts(
            _sum(self.low, other.low),
            _sum(self.high, other.high),
            self.symmetric and other.symmetric,
            self.psd and other.psd,
        )

    def __mul__(self, other: Facts) -> Facts:
        """Return the range of an entrywise product; matrix properties are left to the caller."""
        if self.low >= 0 and other.low >= 0:
            return Facts(_times(self.low, other.low), _times(self.high, other.high))
        ends = [_times(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return Facts(min(ends), max(ends))


UNKNOWN = Facts()
NONNEGATIVE = Facts(low=0.0)
UNIT = Facts(low=-1.0, high=1.0)
ORTHOGONAL = Facts(low=-1.0, high=1.0, orthogonal=True)


def _sum(a: float, b: float) -> float:
    total = a + b
    return total if total == total else -math.inf


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def square(x: Facts) -> Facts:
    """Return the range of x², which is never negative."""
    high = max(_times(x.low, x.low), _times(x.high, x.high))
    low = 0.0 if x.low <= 0 <= x.high else min(x.low * x.low, x.high * x.high)
    return Facts(low, high)


def real_power(x: Facts, p: Facts) -> Facts:
    """Return the range of x^p for x ≥ 0: in [0, 1] when x ≤ 1 and p ≥ 0, or x ≥ 1 and p ≤ 0."""
    bounded = (x.high <= 1 and p.low >= 0) or (x.low >= 1 and p.high <= 0)
    high = 1.0 if bounded else math.inf
    low = 1.0 if x.low >= 1 and p.low >= 0 else 0.0
    return Facts(low, high)
