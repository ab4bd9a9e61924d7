"""The process is left as it was found."""

import random
import warnings

import numpy as np
import pytest
import torch
from specimens import Plain

import normdsl as nd
from normdsl.compiler.audit.surroundings import seed_everything, unchanged


def state():
    return (
        torch.random.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        list(warnings.filters),
    )


@pytest.fixture
def odd_settings():
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("odd_settings")
def test_an_audit_leaves_no_trace():
    before = state()
    audit = nd.audit(Plain, steps=2, seeds=1)
    assert state() == before
    assert audit.findings == nd.audit(Plain, steps=2, seeds=1).findings


@pytest.mark.usefixtures("odd_settings")
def test_inside_the_setting_is_neutral_and_errors_restore_it_too():
    before = state()

    def fail():
        with unchanged():
            assert torch.get_default_dtype() is torch.float32
            assert torch.is_grad_enabled()
            seed_everything(5)
            random.random()
            torch.set_default_dtype(torch.float16)
            torch.set_num_threads(1)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert state() == before


def test_seeding_reaches_every_generator():
    with unchanged():
        draws = []
        for _ in range(2):
            seed_everything(3)
            draws.append((float(torch.rand(())), random.random(), float(np.random.rand())))
    assert draws[0] == draws[1]
