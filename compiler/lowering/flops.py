"""Operation counts of factorisations, as published: multiplications and additions are one each.

Golub and Van Loan, Matrix Computations, 4th edition (2013). Leading terms of the
textbook algorithms, with the iterations that its tables assume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch

Shape = Sequence[int]
aten = torch.ops.aten


def cholesky(a: Shape, *_: Any, **__: Any) -> int:
    """Count n³/3 (section 4.2)."""
    return _batch(a) * (a[-1] ** 3 // 3)


def cholesky_inverse(a: Shape, *_: Any, **__: Any) -> int:
    """Count 2n³/3 for the inverse of C Cᵀ from C: that of C, and a product (section 4.2)."""
    return _batch(a) * (2 * a[-1] ** 3 // 3)


def triangular_solve(a: Shape, b: Shape, *_: Any, **__: Any) -> int:
    """Count n² for each of the right-hand sides (section 3.1)."""
    return prod(b) * a[-1]


def lu(a: Shape, *_: Any, **__: Any) -> int:
    """Count m n² − n³/3, m ≥ n: 2n³/3 for a square matrix (section 3.2)."""
    m, n = _long_first(a)
    return _batch(a) * ((3 * m * n**2 - n**3) // 3)


def inverse(a: Shape, *_: Any, **__: Any) -> int:
    """Count 2n³: the LU decomposition, and n right-hand sides that are columns of I (3.4)."""
    return _batch(a) * 2 * a[-1] ** 3


def solve(a: Shape, b: Shape, *_: Any, **__: Any) -> int:
    """Count the LU decomposition and two triangular solves (section 3.2)."""
    return lu(a) + 2 * triangular_solve(a, b)


def qr(a: Shape, mode: str = "reduced", **_: Any) -> int:
    """Count Householder's R, 2n²(m − n/3) for m ≥ n, and Q if it is formed (5.1, 5.2).

    A thin Q costs as much again, a square one 4(m²n − mn² + n³/3).
    """
    (rows, cols), (m, n) = a[-2:], _long_first(a)
    r = (6 * m * n**2 - 2 * n**3) // 3
    square = 4 * (3 * m**2 * n - 3 * m * n**2 + n**3) // 3
    thin = square if mode == "complete" and rows > cols else r
    short = 4 * rows**3 // 3
    q = 0 if mode == "r" else short if rows < cols else thin
    return _batch(a) * (r + q)


def eigh(a: Shape, UPLO: str = "L", compute_v: bool = True, **_: Any) -> int:
    """Count the symmetric QR algorithm: 9n³ with eigenvectors, 4n³/3 without (section 8.3)."""
    n = a[-1]
    return _batch(a) * (9 * n**3 if compute_v else 4 * n**3 // 3)


def svd(a: Shape, full_matrices: bool = False, compute_uv: bool = True, **_: Any) -> int:
    """Count the cheaper of the Golub–Reinsch and the R-bidiagonal algorithm (section 8.6)."""
    m, n = _long_first(a)
    if not compute_uv:
        both = (4 * m * n**2 - 4 * n**3 // 3, 2 * m * n**2 + 2 * n**3)
    elif full_matrices:
        both = (4 * m**2 * n + 8 * m * n**2 + 9 * n**3, 4 * m**2 * n + 22 * n**3)
    else:
        both = (14 * m * n**2 + 8 * n**3, 6 * m * n**2 + 20 * n**3)
    return _batch(a) * min(both)


def pseudo_inverse(a: Shape, *_: Any, **__: Any) -> int:
    """Count a thin SVD and the product V diag(1/σ) Uᵀ (section 5.5)."""
    return svd(a) + 2 * prod(a) * min(a[-2:])


def _batch(a: Shape) -> int:
    return prod(a[:-2])


def _long_first(a: Shape) -> tuple[int, int]:
    return max(a[-2:]), min(a[-2:])


#: What torch calls them → their counts, from the shapes of the operands and torch's own options.
FACTORISATIONS: dict[Any, Callable[..., int]] = {
    aten.linalg_cholesky_ex: cholesky,
    aten.cholesky_inverse: cholesky_inverse,
    aten.linalg_solve_triangular: triangular_solve,
    aten.linalg_lu_factor_ex: lu,
    aten.linalg_inv_ex: inverse,
    aten._linalg_solve_ex: solve,
    aten.linalg_qr: qr,
    aten._linalg_eigh: eigh,
    aten._linalg_svd: svd,
    aten.linalg_pinv: pseudo_inverse,
}
