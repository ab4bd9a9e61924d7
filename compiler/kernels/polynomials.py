"""Odd polynomials of degree 9 of singular values: two products of Gram matrices each."""

from __future__ import annotations

from torch import Tensor

from normdsl.compiler.kernels.products import shifted, symmetric_product


def ninth_degree(gram: Tensor, step: tuple[float, float, float, float, float]) -> Tensor:
    """Return c (gram² + p gram + r I)² + q gram + d I, for (p, r, q, c, d).

    Times a matrix with this Gram matrix, it is an odd polynomial of degree 9 of the singular
    values. Any such polynomial is of this form, by completing the square: two products.
    """
    p, r, q, c, d = step
    inner = shifted(symmetric_product(gram, gram, gram, p), r)
    return shifted(symmetric_product(inner, inner, gram, q, c), d)
