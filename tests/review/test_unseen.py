"""What holds, and what no other test would see break: found by changing lines of the runtime."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W, t


def test_a_step_of_finite_values_to_others_is_skipped():
    """Survives elsewhere: `Change.kept_if_finite` without `finite(*self.values)`."""

    @nd.optimizer
    def divides(lr=0.1):
        return W - lr * nd.ema(1 / G, 0.9)

    first, second = (nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    opt = divides([first, second], nonfinite="skip")
    first.grad, second.grad = torch.zeros(2, 3), torch.ones(2, 3)
    opt.step()
    assert torch.equal(first, torch.ones(2, 3))
    assert all(torch.isfinite(x).all() for x in opt.state[first].values())
    assert [int(opt.state[p]["step"]) for p in (first, second)] == [0, 1]


@pytest.mark.parametrize("late", [0, 1])
def test_matrices_of_a_view_have_the_clock_of_their_parameter(late):
    """Survives elsewhere: clocks repeated as 1, 2, 1, 2 in place of 1, 1, 2, 2."""

    @nd.optimizer
    def counting(lr=1.0):
        return W - lr * t * G

    params = [nn.Parameter(torch.zeros(4, 3)) for _ in range(2)]
    opt = counting(params, view=nd.views.heads(2))
    for k in range(2):
        for i, p in enumerate(params):
            p.grad = None if k == 0 and i == late else torch.ones(4, 3)
        opt.step()
    for i, p in enumerate(params):
        expected = -1.0 if i == late else -3.0
        torch.testing.assert_close(p.detach(), torch.full((4, 3), expected))


def test_a_parameter_without_entries_is_explained():
    """Survives elsewhere: the cost of matrices without entries is asked for, which is refused."""
    text = str(nd.algorithms.adamw([nn.Parameter(torch.ones(0, 3))]).explain())
    assert "0×3" in text
    assert "0 FLOP" in text
