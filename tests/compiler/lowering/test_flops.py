"""Counts of factorisations: leading terms at square matrices, long sides, and torch's own names."""

import pytest
import torch

from normdsl.compiler.lowering import flops
from normdsl.compiler.lowering.counting import tally

SQUARE = (2, 6, 6)
CUBE = 2 * 6**3
#: Call, operations of a batch of two 6 × 6 matrices.
CALLS = {
    "cholesky": (torch.linalg.cholesky, CUBE / 3),
    "lu": (torch.linalg.lu_factor, CUBE * 2 / 3),
    "inverse": (torch.linalg.inv, 2 * CUBE),
    "solve": (lambda a: torch.linalg.solve(a, a), CUBE * 2 / 3 + 2 * CUBE),
    "triangular": (lambda a: torch.linalg.solve_triangular(a, a, upper=True), CUBE),
    "qr": (torch.linalg.qr, CUBE * 8 / 3),
    "r": (lambda a: torch.linalg.qr(a, mode="r"), CUBE * 4 / 3),
    "complete qr": (lambda a: torch.linalg.qr(a, mode="complete"), CUBE * 8 / 3),
    "eigh": (torch.linalg.eigh, 9 * CUBE),
    "svd": (torch.linalg.svd, 21 * CUBE),
    "thin svd": (lambda a: torch.linalg.svd(a, full_matrices=False), 22 * CUBE),
    "svdvals": (torch.linalg.svdvals, CUBE * 8 / 3),
    "pinv": (torch.linalg.pinv, 24 * CUBE),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_torch_calls_is_counted(name):
    call, expected = CALLS[name]
    found = tally(lambda: call(torch.empty(SQUARE, device="meta")))
    assert found.products == 0
    assert found.factorisations == expected


def test_the_short_side_of_a_long_matrix_counts():
    m, n = 90, 3
    for shape in ((m, n), (n, m)):
        assert flops.svd(shape) == 6 * m * n**2 + 20 * n**3
        assert flops.svd(shape, False, False) == 2 * m * n**2 + 2 * n**3
        assert flops.svd(shape, True) == 4 * m**2 * n + 22 * n**3
        assert flops.lu(shape) == m * n**2 - n**3 // 3
    assert flops.qr((m, n)) == 2 * (2 * m * n**2 - 2 * n**3 // 3)
    assert flops.eigh((n, n), "L", False) == 4 * n**3 // 3
    assert flops.qr((n, m)) == 2 * m * n**2 - 2 * n**3 // 3 + 4 * n**3 // 3
    assert flops.qr((m, n), "complete") > 10 * flops.qr((m, n))
