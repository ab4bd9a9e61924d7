"""Checkpoints: what goes on as if never stopped, and what does not."""

import pytest
import torch
from specimens import Forgets, Plain

from normdsl.compiler.audit.findings import Status
from normdsl.compiler.audit.resume import resume
from normdsl.compiler.audit.runs import Subject

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class Wide(Plain):
    """Keeps its average in float32, whatever the dtype of the parameter."""

    def update(self, p, g, state, group):
        m = self.average(g.float(), state, group["beta"])
        p.sub_((group["lr"] * m).to(p.dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factory", [Plain, torch.optim.AdamW, torch.optim.Muon])
def test_what_is_in_the_state_comes_back(factory, dtype):
    assert resume(Subject("x", factory), dtype).status is Status.HOLDS


def test_what_is_kept_elsewhere_is_lost():
    found = resume(Subject("x", Forgets), torch.float32)
    assert found.status is Status.BREAKS
    assert found.step == 4
    assert found.factor > 0.1


def test_a_state_narrowed_on_loading_is_named():
    found = resume(Subject("x", Wide), torch.bfloat16)
    assert found.status is Status.BREAKS
    assert "state 0.m comes back with other values in bfloat16 instead of float32" in found.why
    assert resume(Subject("x", Wide), torch.float32).status is Status.HOLDS


def test_an_optimizer_that_does_not_load_is_told():
    class Refuses(Plain):
        def load_state_dict(self, state_dict):
            raise KeyError("m")

    found = resume(Subject("x", Refuses), torch.float32)
    assert found.status is Status.BREAKS
    assert "loading raises KeyError" in found.why


def test_a_nan_in_a_state_comes_back_as_itself():
    class Odd(Plain):
        def update(self, p, g, state, group):
            super().update(p, g, state, group)
            state["unused"] = torch.full_like(g, torch.nan)

    assert resume(Subject("x", Odd), torch.float32).status is Status.HOLDS


def test_random_draws_are_repeated_not_blamed():
    class Noisy(Plain):
        def update(self, p, g, state, group):
            p.sub_(group["lr"] * g * torch.rand_like(g))

    assert resume(Subject("x", Noisy), torch.float32).status is Status.HOLDS
