"""How a declaration is computed: kernels and precision. A schedule never changes the meaning."""

from __future__ import annotations

import math

import attrs

from normdsl.errors import DeclarationError


@attrs.frozen
class SVD:
    """Polar factor from the singular value decomposition, with a relative rank cut."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@attrs.frozen
class NewtonSchulz:
    """Polar factor by the odd polynomials s ↦ a s + b s³ + c s⁵ on the singular values.

    The input is divided by its Frobenius norm first; no eps, so its scale does not matter.

    Args:
        coefficients: (a, b, c) of each step.
        dtype: name of the torch dtype it iterates in; None for the step's own.
    """

    coefficients: tuple[tuple[float, float, float], ...]
    dtype: str | None = None

    def __attrs_post_init__(self) -> None:
        legal = isinstance(self.coefficients, tuple) and all(
            isinstance(step, tuple) and len(step) == 3 and all(map(_is_number, step))
            for step in self.coefficients
        )
        if not legal or self.dtype not in (None, "bfloat16", "float16", "float32", "float64"):
            raise DeclarationError(
                f"iterate by {self.coefficients!r} in {self.dtype!r}",
                why="each step has three finite coefficients, and the dtype is a floating one",
                hint="use nd.jordan() or nd.polar_express(), dtype='bfloat16', 'float32', …",
            )


def jordan(steps: int = 5, dtype: str | None = None) -> NewtonSchulz:
    """Return K. Jordan's iteration (2024): singular values end in [0.68, 1.13], not at 1.

    Covers relative singular values above 1e-2 in five steps.
    """
    return NewtonSchulz(((3.4445, -4.7750, 2.0315),) * steps, dtype)


_POLAR_EXPRESS = (
    (8.28721202, -23.5958865, 17.3003873),
    (4.10705911, -2.94784992, 0.54484311),
    (3.94869085, -2.90890212, 0.55181914),
    (3.31841966, -2.48848802, 0.51004895),
    (2.30065202, -1.66890398, 0.41880731),
    (1.89130141, -1.26799583, 0.37680409),
    (1.87500148, -1.25000165, 0.37500016),
)


def polar_express(steps: int = 8, dtype: str | None = None) -> NewtonSchulz:
    """Return the Polar Express iteration (Amsel et al., 2025, arXiv:2505.16932).

    Eight steps map relative singular values in [1e-3, 1] to within 1e-3 of 1; five to [0.87, 1.13].
    """
    tail = ((1.875, -1.25, 0.375),) * max(0, steps - len(_POLAR_EXPRESS))
    return NewtonSchulz((_POLAR_EXPRESS + tail)[:steps], dtype)


@attrs.frozen
class Schedule:
    """The choices that decide speed and rounding.

    Args:
        polar: kernel of polar factors, `SVD()` or a `NewtonSchulz`.
        dtype: name of the floating dtype everything is computed and kept in; None for that of the
            parameter, at least float32. Roots of Gram matrices square the condition number: in
            float32, directions of G below about 1e-3 of the largest count as zero; with
            dtype="float64" below about 1e-7.
        compile: pass the emitted function through `torch.compile`.

    Raises:
        DeclarationError: for an unknown dtype.
    """

    polar: SVD | NewtonSchulz = SVD()
    dtype: str | None = None
    compile: bool = False

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.polar, SVD | NewtonSchulz):
            raise DeclarationError(
                f"schedule polar factors by {self.polar!r}",
                why="it is no method for them",
                hint="use nd.SVD(), nd.jordan() or nd.polar_express()",
            )
        if self.dtype not in (None, "float32", "float64"):
            raise DeclarationError(
                f"schedule the computation in {self.dtype!r}",
                why="matrix factorisations are defined in float32 and float64",
                hint="use dtype='float32', 'float64' or None; NewtonSchulz has a dtype of its own",
            )


#: The specification: SVD and symmetric eigenvalues, in float64.
exact = Schedule(dtype="float64")
