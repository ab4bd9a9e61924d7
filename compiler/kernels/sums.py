"""Matrix products joined with what they are added to."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.products import by_blocks, in_place


def plus_product(
    base: Tensor,
    x: Tensor,
    y: Tensor,
    beta: float | Tensor = 1,
    alpha: float | Tensor = 1,
    into: Tensor | None = None,
) -> Tensor:
    """Return beta base + alpha x y: one pass over memory, if beta and alpha are numbers.

    For alpha = 0 BLAS forms no product.

    Args:
        base: a batch of matrices. x: as many. y: as many. beta: of base. alpha: of the product.
        into: memory that the result may take, that of `base` as well.
    """
    beta, alpha = as_read(beta), as_read(alpha)
    fits = x.ndim == 3 and x.shape[0] == y.shape[0] == base.shape[0]
    if isinstance(beta, Tensor) or isinstance(alpha, Tensor) or not fits:
        return beta * base + alpha * (x @ y)
    return torch.baddbmm(base, x, y, beta=beta, alpha=alpha, out=into)


def plus_symmetric(
    base: Tensor,
    x: Tensor,
    y: Tensor,
    beta: float | Tensor = 1,
    alpha: float | Tensor = 1,
    into: Tensor | None = None,
) -> Tensor:
    """Return the same of a symmetric base and a product that is known to be symmetric.

    On CPUs by blocks of rows up to the diagonal, see `by_blocks`.
    """
    beta, alpha = as_read(beta), as_read(alpha)
    fits = x.ndim == 3 and x.shape[0] == y.shape[0] == base.shape[0]
    large = fits and base.shape[-1] >= 256 and in_place(x)
    if isinstance(beta, Tensor) or isinstance(alpha, Tensor) or not large:
        return plus_product(base, x, y, beta, alpha, into)
    return by_blocks(torch.empty_like(base) if into is None else into, x, y, base, beta, alpha)


def as_read(number: float | Tensor) -> float | Tensor:
    """Return the number that a tensor holds, on a CPU, where nobody waits until it is there."""
    if not isinstance(number, Tensor) or type(number) is not Tensor or number.numel() != 1:
        return number
    return float(number) if number.device.type == "cpu" and in_place(number) else number
