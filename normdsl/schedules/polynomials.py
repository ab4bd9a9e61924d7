"""Polar factors by odd polynomials, s ↦ a s + b s³ + c s⁵ on each singular value, step by step.

The input is divided by its Frobenius norm first, without an eps, so its scale does not matter. The
singular vectors stay as they are, so the error is known before anything runs: `band` is the
range of the singular values of the result. Near 1 is good; below 0 would turn a descent direction
into an ascent direction, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import attrs

from normdsl.errors import DeclarationError
from normdsl.schedules.methods import Method, require_count
from normdsl.show.grid import Grid
from normdsl.show.page import title

Step = tuple[float, float, float]


@attrs.frozen
class Polynomials(Method):
    """A polar factor by odd polynomials of the singular values, one polynomial a step.

    Args:
        coefficients: (a, b, c) of each step.
        dtype: name of the torch dtype it iterates in; None for the step's own.
        covers: interval of singular values, relative to the Frobenius norm, it is meant for.

    Raises:
        DeclarationError: for coefficients that are not numbers or flip a sign, an unknown dtype, or
            an interval outside (0, 1].
    """

    coefficients: tuple[Step, ...]
    dtype: str | None = None
    covers: tuple[float, float] = (1e-3, 1.0)

    def __attrs_post_init__(self) -> None:
        _require_numbers(self)
        if not 0 < self.covers[0] < self.covers[1] <= 1:
            raise DeclarationError(
                f"cover relative singular values in {self.covers!r}",
                why="they lie in (0, 1], since the input is divided by its Frobenius norm",
                hint="use covers=(1e-3, 1.0)",
            )
        # Beyond what it covers as well: no singular value at all may change its sign.
        low, high = self._image(0.0, 1.0)
        if not (low >= 0 and high < math.inf):
            raise DeclarationError(
                f"iterate by {self.coefficients!r}",
                why=f"singular values in (0, 1] go to [{low:.2g}, {high:.2g}]; a flipped sign "
                "turns a descent direction into an ascent direction",
                hint="use nd.jordan(), nd.polar_express(), nd.quintic() or nd.cans()",
            )

    def grid(self) -> Grid:
        """Return the coefficients as a table, with the errors below."""
        rows = [[str(k), *(f"{x:.6g}" for x in s)] for k, s in enumerate(self.coefficients, 1)]
        ends = [f"[{low:.4g}, {high:.4g}]" for low, high in (self.covers, self.band())]
        note = f"Singular values, relative to ‖X‖_F, in {ends[0]} come to lie in {ends[1]}."
        return Grid(["step", "a", "b", "c"], rows, title=str(self), notes=[note])

    def __str__(self) -> str:
        steps = f"{len(self.coefficients)} odd polynomials"
        return f"{type(self).__name__}: {steps}" + (f" in {self.dtype}" if self.dtype else "")

    def _repr_html_(self) -> str:
        grid = self.grid()
        return title(grid.title) + grid.html()

    def band(self, lowest: float | None = None) -> tuple[float, float]:
        """Return the range of the result's singular values, for those of the input in [lowest, 1].

        Exact but for rounding: the image of an interval, step by step, is an interval between
        values at its ends and at the turning points inside.
        """
        low, high = self.covers
        return self._image(low, high) if lowest is None else self._image(lowest, 1.0)

    def _image(self, low: float, high: float) -> tuple[float, float]:
        for a, b, c in self.coefficients:
            at = [low, high, *(s for s in _turns(a, b, c) if low < s < high)]
            values = [s * (a + s * s * (b + s * s * c)) for s in at]
            low, high = min(values), max(values)
        return low, high


@attrs.frozen
class NewtonSchulz(Polynomials):
    """Polar factor by Newton–Schulz steps: odd polynomials of X, by matrix products alone.

    X ← a X + (b A + c A²) X with A = X Xᵀ; a tall X is transposed first, so that A is small.

    Example:
        >>> import normdsl as nd
        >>> cubic = nd.NewtonSchulz(((1.5, -0.5, 0.0),) * 10, covers=(0.1, 1.0))
        >>> low, high = cubic.band()
        >>> print(f"{low:.3f} to {high:.3f}")
        1.000 to 1.000
    """

    kernels: ClassVar[Mapping[str, str]] = {"polar": "polar_newton_schulz"}

    def on_gram(self, restart: int = 2) -> GramNewtonSchulz:
        """Return the same polynomials iterated on the Gram matrix."""
        return GramNewtonSchulz(self.coefficients, self.dtype, self.covers, restart)


@attrs.frozen
class GramNewtonSchulz(Polynomials):
    """Polar factor by the polynomials of `NewtonSchulz`, iterated on the small A = X Xᵀ.

    So few products run along the long side of X. From P = I: Z = a I + b A + c A², P ← Z P, A ← Z A
    Z, and P X at the end (Dao AI Lab, 2026, "Gram Newton–Schulz"). On singular values it is the
    same map; in rounding it is not, since the eigenvalues of A that rounding makes negative grow
    with every step. So P is applied, and A formed anew, every `restart` steps. Measured on 64 × 256
    matrices with singular values from 1 to 1e-3: restart=2 has the errors of `NewtonSchulz` in
    float32, bfloat16 and float16; 3 at most three times those; from 4 on it overflows in bfloat16;
    in float32 no restart at all costs two to three digits.

    Args:
        restart: number of steps after which A is formed anew.

    Example:
        >>> import normdsl as nd
        >>> gram = nd.jordan().on_gram()
        >>> isinstance(gram, nd.GramNewtonSchulz), gram.band() == nd.jordan().band()
        (True, True)
    """

    restart: int = 2
    kernels: ClassVar[Mapping[str, str]] = {"polar": "polar_gram_newton_schulz"}

    def __attrs_post_init__(self) -> None:
        Polynomials.__attrs_post_init__(self)
        require_count("iterate on a Gram matrix with restart", self.restart)


_AOL = (
    (4.6051, -9.6552, 5.6769),
    (4.7505, -6.0861, 2.1790),
    (2.7763, -2.3190, 0.5523),
    (2.4231, -2.2861, 0.8193),
)


@attrs.frozen
class Turbo(Polynomials):
    """Polar factor of X with its rows scaled first, which is not that of X itself.

    Turbo-Muon's iteration (Boissin et al., 2025, arXiv:2512.04632).

    Each row of X (of Xᵀ, if it is tall) is divided by s_i = (Σ_j |X Xᵀ|_ij)^½, which bounds the
    spectral norm by 1, and no Frobenius norm is divided by. The limit of many steps is
    polar(diag(1/s) X), not polar(X): a left preconditioner inside the oracle only, so a rule's
    verdicts of invariance are not kept. For Gaussian matrices the two differ by about 1 %, for rows
    of very different lengths by 10 to 20 %. `band` is about singular values of diag(1/s) X.

    The default coefficients are those of the later AOL code; the first set published flips the sign
    of singular values above 0.884, and is refused.

    Example:
        >>> import normdsl as nd
        >>> low, high = nd.Turbo().band()
        >>> print(f"{low:.2f} to {high:.2f}")
        0.94 to 1.05
    """

    coefficients: tuple[Step, ...] = _AOL
    dtype: str | None = None
    covers: tuple[float, float] = (1e-2, 1.0)
    kernels: ClassVar[Mapping[str, str]] = {"polar": "polar_turbo"}


def _turns(a: float, b: float, c: float) -> tuple[float, ...]:
    """Return where a s + b s³ + c s⁵ turns: the real roots of a + 3 b s² + 5 c s⁴."""
    if c == 0:
        squares = [-a / (3 * b)] if b else []
    else:
        middle, rest = -3 * b / (10 * c), 9 * b * b - 20 * a * c
        root = math.sqrt(max(rest, 0.0)) / (10 * c)
        squares = [middle - root, middle + root] if rest >= 0 else []
    roots = [math.sqrt(u) for u in squares if u > 0]
    return (*roots, *(-s for s in roots))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _require_numbers(method: Polynomials) -> None:
    """Refuse coefficients that are not triples of finite numbers, and dtypes that do not float."""
    steps, dtype, covers = method.coefficients, method.dtype, method.covers
    legal = isinstance(steps, tuple) and all(
        isinstance(step, tuple) and len(step) == 3 and all(map(_is_number, step)) for step in steps
    )
    pair = isinstance(covers, tuple) and len(covers) == 2 and all(map(_is_number, covers))
    if not legal or not pair or dtype not in (None, "bfloat16", "float16", "float32", "float64"):
        raise DeclarationError(
            f"iterate by {steps!r} in {dtype!r}, covering {covers!r}",
            why="each step has three finite coefficients, the dtype is a floating one, and an "
            "interval has two ends",
            hint="use nd.jordan() or nd.polar_express(), dtype='bfloat16', 'float32', …",
        )
