"""Faults of memory are found where they are, and only there."""

import pytest
import torch
from specimens import (
    CorruptsState,
    DividesByZero,
    KeepsGradient,
    OverwritesGradient,
    Plain,
    TwinStates,
)

from normdsl.compiler.audit.findings import Status
from normdsl.compiler.audit.memory import addresses, gradient_kept, storage, zero_gradient
from normdsl.compiler.audit.runs import Subject

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("probe", [gradient_kept, storage, zero_gradient])
def test_a_sound_optimizer_passes(probe, dtype):
    assert probe(Subject("x", Plain), dtype).status is Status.HOLDS


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("probe", "factory", "told"),
    [
        (gradient_kept, OverwritesGradient, "overwrites the gradient of parameter 0"),
        (storage, KeepsGradient, "gradient 0 and state 0.m share memory"),
        (storage, TwinStates, "state 0.m and state 0.copy share memory"),
        (zero_gradient, DividesByZero, "parameter 0 is NaN or infinite"),
    ],
)
def test_a_fault_is_found(probe, factory, told, dtype):
    found = probe(Subject("x", factory), dtype)
    assert found.status is Status.BREAKS
    assert found.step == 1
    assert told in found.why
    assert found.defect


def test_faults_are_not_blamed_on_each_other():
    for factory in (OverwritesGradient, CorruptsState, DividesByZero):
        assert storage(Subject("x", factory), torch.float32).status is Status.HOLDS
    for factory in (KeepsGradient, TwinStates, CorruptsState, DividesByZero):
        assert gradient_kept(Subject("x", factory), torch.float32).status is Status.HOLDS


def test_an_exception_at_a_zero_gradient_is_told():
    class Refuses(Plain):
        def update(self, p, g, state, group):
            if not g.any():
                raise RuntimeError("zero gradient")

    found = zero_gradient(Subject("x", Refuses), torch.float32)
    assert found.status is Status.BREAKS
    assert "zero gradient" in found.why


def test_views_that_interleave_do_not_overlap():
    whole = torch.zeros(4, 6)
    even, odd, rows = addresses(whole[:, ::2]), addresses(whole[:, 1::2]), addresses(whole[1])
    assert not even & odd
    assert even & rows
    assert len(addresses(whole)) == whole.numel() * 4
    assert addresses(whole.T) == addresses(whole)
    assert addresses(torch.zeros(3).expand(5, 3)) != set()
    assert addresses(torch.zeros(0)) == set()
