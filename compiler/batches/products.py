"""Products of a matrix of second derivatives with directions of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from normdsl.expressions.nodes import Asked

#: What is multiplied with directions.
KINDS = (Asked.HESSIAN_PRODUCT, Asked.GAUSS_NEWTON_PRODUCT)


class Product(NamedTuple):
    """A product with the Hessian, or with the Gauss-Newton matrix, of all layers together.

    Args:
        asked: which of them. along: the direction, for each batch or tensor; None for zero.
    """

    asked: Asked
    along: Sequence[Tensor | None]
