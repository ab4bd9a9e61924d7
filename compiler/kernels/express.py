"""Polar factors by minimax polynomials of degree 9, two products each on the small side."""

from __future__ import annotations

import torch
from torch import Tensor

from normdsl.compiler.kernels.products import (
    on_short,
    root_bound,
    shifted,
    short_gram,
    symmetric_product,
    unit_entries,
)


def ninth_degree(gram: Tensor, step: tuple[float, float, float, float, float]) -> Tensor:
    """Return c (gram² + p gram + r I)² + q gram + d I, for (p, r, q, c, d).

    Times a matrix with this Gram matrix, it is an odd polynomial of degree 9 of the singular
    values. Any such polynomial is of this form, by completing the square: two products.
    """
    p, r, q, c, d = step
    inner = shifted(symmetric_product(gram, gram, gram, p), r)
    return shifted(symmetric_product(inner, inner, gram, q, c), d)


def ninth_first(gram: Tensor, step: tuple[float, float, float, float, float]) -> Tensor:
    """Return the same of a matrix that is scaled by ‖gram‖_F^½ first, times what scales it."""
    size = root_bound(gram)
    return ninth_degree(gram / size, step) * size.rsqrt()


def cached_parts(y: Tensor) -> tuple[Tensor, ...]:
    """Return a batch in parts whose intermediate results a CPU's cache holds: 2¹⁵ entries.

    A graph that is compiled for any number of matrices has one part.
    """
    if torch.compiler.is_compiling():
        return (y,)
    return torch.split(y, max(1, 2**15 // (y.shape[-2] * y.shape[-1])))


def express_steps() -> tuple[tuple[float, float, float, float, float], ...]:
    """Return the polynomials of `polar_express_small`, for `ninth_degree`."""
    return (
        (-1.17172722491, 0.24263781232, -0.000208248459273, 255.886632373, 0.000346589753152),
        (-4.68628090103, 3.88133766567, -0.000196013738094, 0.499661837508, 0.00130473733142),
        (-4.68226106624, 3.87598443795, -0.00147144560022, 0.498448874471, 0.00978621110109),
        (-4.65225556213, 3.83626482136, -0.0107995646549, 0.489605469401, 0.071372986836),
        (-4.44116284455, 3.56878367202, -0.0682407514907, 0.436492827317, 0.430924103552),
        (-3.3912392563, 2.51638735695, -0.243880689889, 0.325775102696, 1.18580540829),
        (-2.57910002928, 2.09657211757, -0.335957247217, 0.273680356203, 1.26267180228),
    )


def polar_express_small(x: Tensor) -> Tensor:
    """Return the polar factor by seven polynomials of degree 9, for batches of small matrices.

    Singular values above 1e-5 ‖x xᵀ‖_F^½ come within 3e-7 of 1, but for rounding; below, σ becomes
    about 1e5 σ / ‖x xᵀ‖_F^½. Minimax polynomials, each for where the last one ends (Amsel et al.,
    2025, arXiv:2505.16932, who take degree 5), with a margin above: beyond the largest singular
    value that they are made for they grow by 81 times the excess, and rounding exceeds 1.
    """
    steps = express_steps()
    found = []
    for y in cached_parts(unit_entries(x)):
        gram = short_gram(y)
        size = root_bound(gram)
        gram, y = gram / size, y * size.rsqrt()
        for k, step in enumerate(steps):
            gram = short_gram(y) if k else gram
            y = on_short(ninth_degree(gram, step), y)
        found.append(y)
    return (torch.cat(found) if len(found) > 1 else found[0]).reshape(x.shape)
