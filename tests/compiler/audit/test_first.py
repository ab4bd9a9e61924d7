"""The first step that moves, and the rounding it was computed with."""

import pytest
import torch
from specimens import Coarse, Late, OverwritesGradient, Plain

from normdsl.compiler.audit.first import delay, first_step, grain
from normdsl.compiler.audit.runs import Subject
from normdsl.compiler.audit.streams import exact_normal, gradients

STREAM = gradients([(6, 8)], 3, 1.0)


def test_the_first_step_of_momentum_is_along_the_gradient():
    step = first_step(Subject("x", Plain), STREAM, torch.float64)
    torch.testing.assert_close(step, -0.001 * STREAM(0)[0])


def test_an_observing_optimizer_is_waited_for():
    step = first_step(Subject("x", Late), STREAM, torch.float64)
    torch.testing.assert_close(step, -0.001 * STREAM(1)[0])
    assert delay(Subject("x", Late), STREAM, torch.float64) == 1
    assert delay(Subject("x", Plain), STREAM, torch.float64) == 0


def test_one_that_stays_at_zero_is_started_elsewhere():
    class Multiplies(Plain):
        def update(self, p, g, state, group):
            p.mul_(1 - group["lr"] * g)

    step = first_step(Subject("x", Multiplies), STREAM, torch.float64)
    torch.testing.assert_close(step, -0.001 * STREAM(0)[0] * exact_normal((6, 8), (7, 7)))


def test_one_that_never_moves_has_none():
    class Idle(Plain):
        def update(self, p, g, state, group):
            pass

    assert first_step(Subject("x", Idle), STREAM, torch.float64) is None
    assert delay(Subject("x", Idle), STREAM, torch.float64) is None
    assert grain(Subject("x", Idle), STREAM, torch.float64) == 0


@pytest.mark.parametrize(
    ("factory", "dtype", "low", "high"),
    [
        (Plain, torch.float64, 0, 1e-11),
        (OverwritesGradient, torch.float64, 0, 1e-11),
        (Coarse, torch.float64, 5e-4, 5e-2),
        (Plain, torch.float32, 1e-9, 1e-6),
        (Plain, torch.bfloat16, 5e-4, 5e-2),
        (torch.optim.Rprop, torch.float64, 0, 1e-11),
        (torch.optim.Muon, torch.float64, 5e-4, 5e-2),
    ],
)
def test_the_grain_is_that_of_the_precision_inside(factory, dtype, low, high):
    assert low <= grain(Subject("x", factory), STREAM, dtype) <= high
