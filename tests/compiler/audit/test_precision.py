"""Corrupted states are told from rounded ones."""

import functools

import pytest
import torch
from specimens import CorruptsState, Plain

from normdsl.compiler.audit.findings import Status
from normdsl.compiler.audit.precision import precision
from normdsl.compiler.audit.runs import Subject

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def probe(factory, dtype):
    return precision(Subject("x", factory), dtype, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factory", [Plain, CorruptsState, torch.optim.Adam, torch.optim.Rprop])
def test_rounding_is_no_corruption(factory, dtype):
    assert probe(factory, dtype).status is Status.HOLDS


def test_a_buffer_overwritten_in_one_dtype_is_found():
    careless = functools.partial(CorruptsState, careful=False)
    for dtype in DTYPES:
        found = probe(careless, dtype)
        assert (found.status is Status.BREAKS) == (dtype is torch.float16), dtype
    assert ".m is not what float64 gives" in found.why
    assert found.step == 1
    assert found.factor > 0.5


def test_a_dtype_in_which_nothing_happens_is_found():
    class Idle(Plain):
        def update(self, p, g, state, group):
            if p.dtype is not torch.bfloat16:
                super().update(p, g, state, group)

    assert probe(Idle, torch.float32).status is Status.HOLDS
    assert probe(Idle, torch.bfloat16).status is Status.BREAKS


def test_a_nan_in_one_dtype_is_found():
    class Overflows(Plain):
        def update(self, p, g, state, group):
            super().update(p, (g * 1e4 * g.sign()).sqrt() * 1e3, state, group)

    found = probe(Overflows, torch.float16)
    assert found.status is Status.BREAKS
    assert found.factor == float("inf")


def test_random_draws_are_no_corruption():
    class Noisy(Plain):
        def update(self, p, g, state, group):
            super().update(p, g * torch.randn_like(g), state, group)

    assert probe(Noisy, torch.float32).status is Status.HOLDS
    assert probe(Noisy, torch.bfloat16).status is Status.HOLDS


def test_slots_that_rounding_decides_are_left_alone():
    class Bases(Plain):
        """Keeps eigenvectors, of signs free and of a null space undetermined."""

        def update(self, p, g, state, group):
            gram = (g.mT @ g).double()
            state["basis"] = torch.linalg.eigh(gram)[1].to(p.dtype)
            state["inverse"] = torch.linalg.inv(gram + 1e-12 * torch.eye(len(gram))).to(p.dtype)
            state["residue"] = p - p.double().mul(3).div(3).to(p.dtype)
            super().update(p, g, state, group)

    assert probe(Bases, torch.float32).status is Status.HOLDS
    assert probe(Bases, torch.bfloat16).status is Status.HOLDS
