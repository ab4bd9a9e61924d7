"""What the torch of this processor rounds otherwise than IEEE 754 says."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def has_exact_roots() -> bool:
    """Return whether square roots of torch are the numbers nearest to them.

    The library that it calls for them has other code for other makes of processors, of which some
    is off by a unit in the last place.
    """
    x = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    return torch.equal(x.sqrt(), x.double().sqrt().float())


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    """Check that tensors are equal bit for bit, or where roots are not exact, up to rounding."""
    for x, y in zip(found, expected, strict=True):
        if has_exact_roots():
            assert torch.equal(x, y)
        else:
            torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-7)
