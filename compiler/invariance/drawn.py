"""Random elements of classes of matrices, for witnesses: well-conditioned, and not the identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from normdsl.expressions.matrix_classes import MatrixClass

if TYPE_CHECKING:
    import numpy as np


def invertible(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a well-conditioned invertible matrix."""
    import numpy as np

    left, right = rotation(rng, size), rotation(rng, size)
    return np.asarray((left * np.exp(rng.uniform(-0.7, 0.7, size))) @ right)


def rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw an orthogonal matrix from the Haar measure."""
    import numpy as np

    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return np.asarray(q * np.sign(np.diag(r)))


def positive(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw positive numbers within a factor e of 1."""
    import numpy as np

    return np.asarray(np.exp(rng.uniform(-1.0, 1.0, size)))


def signs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw signs, not all equal."""
    import numpy as np

    drawn = rng.choice([-1.0, 1.0], size)
    drawn[:2] = (1.0, -1.0)
    return np.asarray(rng.permutation(drawn))


def permutation(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a permutation matrix other than the identity."""
    import numpy as np

    moved = rng.permutation(size)
    while size > 1 and (moved == np.arange(size)).all():
        moved = rng.permutation(size)
    return np.asarray(np.eye(size)[moved])


def signed_permutation(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a permutation matrix with signs."""
    import numpy as np

    return np.asarray(signs(rng, size)[:, None] * permutation(rng, size))


def is_member(cls: MatrixClass, x: np.ndarray) -> bool:
    """Return whether an array is of a class, up to rounding: a matrix, or the vector of a diagonal.

    Args:
        cls: the class. x: a square matrix, or the diagonal if the class is diagonal.
    """
    import numpy as np

    matrix = np.diag(x) if cls.diagonal else x
    if not np.linalg.cond(matrix) < 1e8:
        return False
    turned = matrix @ matrix.T
    single = bool((np.count_nonzero(matrix, axis=1) == 1).all())
    return (
        (not cls.orthogonal or np.allclose(turned, np.eye(len(matrix))))
        and (not cls.monomial or single)
        and (not cls.monomial or cls.signed or bool((matrix >= 0).all()))
    )
