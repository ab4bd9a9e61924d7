"""Numbers of a step: by Python where the host knows its index, and what torch has where not."""

import math

import pytest
import torch

import normdsl as nd
from normdsl.algorithms import adamw, madgrad
from normdsl.compiler.batches import running
from normdsl.compiler.lowering.program import lower, takes_floats


@nd.optimizer
def divided(lr=0.1):
    return nd.W - lr / (nd.t - 1) * nd.G


@nd.optimizer
def waving(lr=0.1):
    return nd.W - lr * nd.cos(nd.t) * nd.G


def numbers(rule, t, dtype=torch.float64):
    """Return the numbers of a step, by name."""
    program = lower(rule, nd.Schedule())
    stepper = type("Stepper", (), {"program": program})
    hyper = dict(program.declaration.defaults)
    return running.numbers(stepper, torch.empty(1, 1, 1, dtype=dtype), t, hyper)


@pytest.mark.parametrize("rule", [adamw, madgrad], ids=lambda r: r.name)
@pytest.mark.parametrize("t", [1, 2, 1000, 10**7])
def test_python_and_torch_have_the_same_ones(rule, t):
    assert takes_floats(lower(rule, nd.Schedule()).numbers)
    ours, theirs = numbers(rule, t), numbers(rule, torch.tensor(t))
    assert all(isinstance(x, int | float) for x in ours.values())
    assert any(isinstance(x, torch.Tensor) for x in theirs.values())
    assert {k: float(x) for k, x in theirs.items()} == pytest.approx(ours, rel=1e-13)


def test_a_function_of_torch_takes_a_tensor():
    assert not takes_floats(lower(waving, nd.Schedule()).numbers)
    found = [float(x) for x in numbers(waving, 3).values() if isinstance(x, torch.Tensor)]
    assert found in ([pytest.approx(math.cos(3))], [pytest.approx(0.1 * math.cos(3))])


def test_what_python_has_no_number_for_is_as_torch_has_it():
    ours, theirs = numbers(divided, 1), numbers(divided, torch.tensor(1))
    ours, theirs = ({k: float(x) for k, x in y.items()} for y in (ours, theirs))
    assert ours == pytest.approx(theirs, nan_ok=True)
    assert not all(map(math.isfinite, ours.values()))
