"""Coefficients of polynomial iterations that are in use, and the bands they end in."""

from __future__ import annotations

from normdsl.schedules.polynomials import NewtonSchulz, Step


def jordan(steps: int = 5, dtype: str | None = None) -> NewtonSchulz:
    """Return the method of Muon's public code: singular values end in [0.68, 1.13], not at 1.

    Coefficients of K. Jordan (2024). It covers relative singular values above 1e-2 in five steps;
    more steps cover smaller ones and come no closer to 1.

    Example:
        >>> import normdsl as nd
        >>> low, high = nd.jordan().band()
        >>> print(f"{low:.2f} to {high:.2f}")
        0.68 to 1.13
    """
    return NewtonSchulz(((3.4445, -4.7750, 2.0315),) * steps, dtype, (1e-2, 1.0))


def quintic(dtype: str | None = None) -> NewtonSchulz:
    """Return five tuned Newton–Schulz steps, after which singular values lie in [0.978, 1.032].

    For relative singular values in [1e-2, 1] (Cesista et al., 2025).

    Example:
        >>> import normdsl as nd
        >>> low, high = nd.quintic().band()
        >>> print(f"{low:.3f} to {high:.3f}")
        0.978 to 1.032
    """
    steps = (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    )
    return NewtonSchulz(steps, dtype, (1e-2, 1.0))


def cans(dtype: str | None = None, safety: float | None = None) -> NewtonSchulz:
    """Return five Chebyshev-type steps, after which singular values lie in [0.88, 1.12].

    For relative singular values in [1e-3, 1] (Grishina et al., 2025, arXiv:2506.10935). For
    `safety` see `polar_express`.

    Example:
        >>> import normdsl as nd
        >>> low, high = nd.cans().band()
        >>> print(f"{low:.2f} to {high:.2f}")
        0.88 to 1.11
    """
    steps = (
        (8.4703, -25.1081, 18.6293),
        (4.1828, -3.1087, 0.5806),
        (3.9619, -2.9541, 0.5630),
        (3.2866, -2.4647, 0.5074),
        (2.2737, -1.6447, 0.4162),
    )
    return NewtonSchulz(_safe(steps, dtype, safety), dtype)


_POLAR_EXPRESS = (
    (8.28721202, -23.5958865, 17.3003873),
    (4.10705911, -2.94784992, 0.54484311),
    (3.94869085, -2.90890212, 0.55181914),
    (3.31841966, -2.48848802, 0.51004895),
    (2.30065202, -1.66890398, 0.41880731),
    (1.89130141, -1.26799583, 0.37680409),
    (1.87500148, -1.25000165, 0.37500016),
)


def polar_express(
    steps: int = 8, dtype: str | None = None, safety: float | None = None
) -> NewtonSchulz:
    """Return the Polar Express iteration, whose steps bring singular values to 1 the fastest.

    Amsel et al., 2025 (arXiv:2505.16932). Eight steps map relative singular values in [1e-3, 1] to
    within 1e-3 of 1; five to [0.87, 1.13].

    Args:
        steps: how many; those after the seventh are the classic (1.875, −1.25, 0.375).
        dtype: name of the dtype it iterates in.
        safety: its steps but for the classic ones map s / safety, since they grow steeply beyond
            the largest singular value they were made for: 1 + 1e-4 would end at 9e3. Default
            1.01 in half precision, else 1.001; the paper's 1.01 gives [0.846, 1.124] in five.

    Example:
        >>> import normdsl as nd
        >>> low, high = nd.polar_express(5).band()
        >>> print(f"{low:.2f} to {high:.2f}")
        0.87 to 1.12
    """
    tail = ((1.875, -1.25, 0.375),) * max(0, steps - len(_POLAR_EXPRESS))
    return NewtonSchulz((*_safe(_POLAR_EXPRESS[:steps], dtype, safety), *tail), dtype)


def _safe(steps: tuple[Step, ...], dtype: str | None, safety: float | None) -> tuple[Step, ...]:
    """Return the polynomials s ↦ p(s / safety)."""
    k = (1.01 if dtype in ("bfloat16", "float16") else 1.001) if safety is None else safety
    return tuple((a / k, b / k**3, c / k**5) for a, b, c in steps)
