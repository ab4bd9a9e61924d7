"""Power laws of the first step, and the floors below which they end."""

import math

import pytest
import torch
from specimens import Coarse, Floored, Late, NeedsLoss, OverwritesGradient, Plain

from normdsl.compiler.audit.findings import Status
from normdsl.compiler.audit.runs import Subject
from normdsl.compiler.audit.scales import SCALES, gradient_scale


def probe(factory, dtype=torch.float32, closure=False):
    return gradient_scale(Subject("x", factory, closure=closure), dtype, (6, 8))


class CubeRoot(Plain):
    def update(self, p, g, state, group):
        p.sub_(g.sign() * g.abs() ** (1 / 3))


class CoarseCubeRoot(Plain):
    def update(self, p, g, state, group):
        p.sub_((g.sign() * g.abs() ** (1 / 3)).bfloat16().to(p.dtype))


class Logarithm(Plain):
    def update(self, p, g, state, group):
        p.sub_(g / g.norm() * torch.log1p(g.norm()))


def test_scales_are_powers_of_two_from_1e_minus_10_to_1e6():
    assert all(math.log2(c).is_integer() for c in SCALES)
    assert [round(math.log10(c)) for c in SCALES] == list(range(-10, 7))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("factory", "degree"),
    [(Plain, "1"), (OverwritesGradient, "0"), (Coarse, "0"), (Late, "1"), (CubeRoot, "0.333")],
)
def test_power_laws_hold(factory, degree, dtype):
    found = probe(factory, dtype)
    assert found.status is Status.HOLDS, found
    assert found.why == f"step ∝ ‖G‖^{degree}"


def test_rounding_in_low_precision_inside_is_no_floor():
    found = probe(CoarseCubeRoot)
    assert found.status is Status.HOLDS
    assert 1e-5 < found.factor < found.tolerance


def test_a_floor_is_located():
    found = probe(Floored)
    assert found.status is Status.ABOVE
    assert found.at[7] < 1e-3 < found.above == found.at[8]
    assert found.curve[0] == pytest.approx(1, abs=1e-5)
    # At a scale c below the floor the step is c / 1e-3 of what it should be.
    assert found.curve[5] == pytest.approx(1 - found.at[5] / 1e-3, rel=1e-3)


def test_what_never_moves_is_unknown():
    class Idle(Plain):
        def update(self, p, g, state, group):
            pass

    assert probe(Idle).answer == "unknown"


def test_what_is_no_power_law_breaks():
    found = probe(Logarithm)
    assert found.status is Status.BREAKS
    assert found.factor > 0.1


def test_what_overflows_at_the_top_breaks():
    class Overflows(Plain):
        def update(self, p, g, state, group):
            p.sub_(g * torch.where(g.norm() > 1e5, math.inf, 1.0))

    assert probe(Overflows).status is Status.BREAKS


def test_the_loss_scales_along():
    assert probe(NeedsLoss, closure=True).why == "step ∝ ‖G‖^0"
