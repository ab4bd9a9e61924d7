"""Powers of one matrix: of one eigendecomposition, however many there are, and the same numbers."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.kernels.automatic import root_automatic, roots_automatic
from normdsl.compiler.lowering.program import lower

S = nd.ema(G @ G.T, 0.9)
SQUARE = nd.ema(G @ G.T, 0.5)


class Eigenvalues(TorchDispatchMode):
    """Counts eigendecompositions."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket is torch.ops.aten._linalg_eigh
        return func(*args, **(kwargs or {}))


def rule(step):
    return nd.Declaration("powers", (), W - step)


def both(s, *exponents):
    """Return terms with one power each."""
    return sum(nd.matrix_power(s, p) @ (k * G) for k, p in enumerate(exponents, 2))


def taken(declared, schedule, phase=()):
    """Return a first step, and how many eigendecompositions it takes."""
    program = lower(declared, schedule)
    g = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = torch.zeros_like(g)
    phase = {program.phase: 2} if program.phase else {}
    with Eigenvalues() as counted:
        new, *_ = program.step(w, g, *program.init(w), t=torch.ones(()), **phase)
    return new, counted.count


@pytest.mark.parametrize("schedule", [
    nd.Schedule(), nd.exact, nd.Schedule(root=nd.Eigh(), refresh=10),
], ids=["automatic", "exact", "kept"])  # fmt: skip
def test_two_powers_of_one_matrix_take_one_eigendecomposition(schedule):
    together, count = taken(rule(both(S, -1 / 2, -1 / 4)), schedule)
    assert count == 1
    apart = [
        taken(rule(nd.matrix_power(S, p) @ (k * G)), schedule)
        for k, p in ((2, -1 / 2), (3, -1 / 4))
    ]
    torch.testing.assert_close(together, sum(new for new, _ in apart), rtol=1e-12, atol=1e-12)
    assert [n for _, n in apart] == [1, 1]


def test_a_root_on_both_sides_is_computed_once():
    """Shared sub-expressions: nothing has to be done for it."""
    root = nd.matrix_power(S, -1 / 4)
    assert taken(rule(root @ SQUARE @ root @ G), nd.Schedule())[1] == 1


def test_roots_by_products_go_one_by_one_and_what_they_do_not_take_together():
    step = both(S, -1 / 2, -1 / 4, 1 / 2, 3 / 4)
    code = lower(rule(step), nd.Schedule(root=nd.CoupledNewton(9))).code
    assert code.count("coupled_newton(s1") == 2
    assert "x, x1 = symmetric_powers(s1, (0.75, 0.5))" in code
    assert code.count("does not take the exponent") == 2


def test_the_passes_tell_it():
    declared = nd.Declaration("powers", (), W - both(S, -1 / 2, -1 / 4), (("S", S),))
    told = str(declared.passes()["share"])
    assert "S⁻¹ᐟ², S⁻¹ᐟ⁴: by S^p = Q Λ^p Qᵀ of one eigendecomposition" in told
    assert "eigendecomposition" not in str(nd.algorithms.shampoo.passes()["share"])


def test_automatic_powers_are_those_of_the_kernel_for_one():
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    s, exponents = x @ x.mT, (-0.5, torch.tensor(0.25), 0.0)
    for found, p in zip(roots_automatic(s, exponents), exponents, strict=True):
        assert torch.equal(found, root_automatic(s, p))
