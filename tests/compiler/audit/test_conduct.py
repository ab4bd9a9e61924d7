"""Faults of conduct are found where they are, told in words, and not seen where there are none."""

import functools
import random

import numpy as np
import pytest
import torch
from specimens import (
    Ascends,
    ClearsFirstGroup,
    Coasts,
    DecaysFrozen,
    DecaysWithoutGradient,
    Draws,
    FirstComesFirst,
    IgnoresMaximize,
    NeedsLoss,
    OneStateForAll,
    Plain,
    Rebinds,
    Reseeds,
    SeedsWhenMade,
    Turns,
)

import normdsl as nd
from normdsl import algorithms as rules
from normdsl.compiler.audit.audit import CONDUCT
from normdsl.compiler.audit.conduct import (
    ascent,
    independent,
    no_gradient,
    order,
    surroundings,
    zero_grad,
)
from normdsl.compiler.audit.findings import Kind, Status
from normdsl.compiler.audit.memory import storage
from normdsl.compiler.audit.runs import Subject

F64 = torch.float64
FAULTS = {
    DecaysWithoutGradient: (no_gradient, "parameter 2 has no gradient, and is moved"),
    DecaysFrozen: (no_gradient, "parameter 2 is frozen, and is moved"),
    Coasts: (no_gradient, "parameter 1 has no gradient, and is moved"),
    FirstComesFirst: (order, "steps in another way if it is given at another place"),
    OneStateForAll: (independent, "while a second optimizer is at work"),
    ClearsFirstGroup: (zero_grad, "zero_grad leaves parameter 1 its gradient"),
    Reseeds: (surroundings, "the step sets torch's global generator"),
    Draws: (surroundings, "the step draws from torch's global generator"),
    SeedsWhenMade: (surroundings, "making it changes torch's global generator"),
    Turns: (surroundings, "the step sets the precision of matrix products"),
    Rebinds: (storage, "parameter 0 is given other memory"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_a_fault_is_found_and_told(fault):
    probe, told = FAULTS[fault]
    found = probe(Subject("x", fault), dtype=F64)
    assert found.status is Status.BREAKS
    assert found.defect
    assert told in found.why


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("probe", CONDUCT.values(), ids=CONDUCT.keys())
def test_a_sound_optimizer_passes(probe, dtype):
    assert probe(Subject("x", Plain), dtype).status is Status.HOLDS
    assert probe(Subject("x", NeedsLoss, closure=True), dtype).status is Status.HOLDS


@pytest.fixture
def precision():
    """The precision of products, as it was, after an optimizer that leaves another one."""
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("precision")
def test_faults_are_not_blamed_on_each_other():
    blameless = {
        DecaysWithoutGradient: (order, independent, zero_grad, surroundings),
        FirstComesFirst: (independent, zero_grad, surroundings),
        ClearsFirstGroup: (no_gradient, order, independent, surroundings),
        Rebinds: (no_gradient, order, independent, zero_grad, surroundings),
        Turns: (no_gradient, order, independent, zero_grad),
    }
    for fault, probes in blameless.items():
        assert all(probe(Subject("x", fault), F64).status is Status.HOLDS for probe in probes)


def test_the_order_of_draws_is_no_fault_of_the_order():
    found = order(Subject("x", Draws), F64)
    assert found.status is Status.UNKNOWN
    assert "random numbers" in found.why


@pytest.mark.parametrize("library", [random, np.random])
def test_draws_of_other_generators_are_found(library):
    class DrawsElsewhere(Plain):
        def update(self, p, g, state, group):
            super().update(p, g * library.random(), state, group)

    name = "Python" if library is random else "NumPy"
    assert f"{name}'s global generator" in surroundings(Subject("x", DrawsElsewhere), F64).why


def test_settings_of_the_process_are_restored():
    before = torch.get_float32_matmul_precision()
    surroundings(Subject("x", Turns), F64)
    assert torch.get_float32_matmul_precision() == before


def test_maximize_is_the_negative_gradient():
    def found(cls):
        with_option = Subject("x", functools.partial(cls, maximize=True), "maximize=True")
        return ascent(with_option, F64, Subject("x", cls))

    assert found(Ascends).status is Status.HOLDS
    assert found(torch.optim.SGD).status is Status.HOLDS
    ignored = found(IgnoresMaximize)
    assert ignored.status is Status.BREAKS
    assert "negative gradient" in ignored.why


def test_an_audit_has_a_table_of_conduct():
    audit = nd.audit(IgnoresMaximize, steps=2, seeds=1)
    assert {f.probe for f in audit if f.kind is Kind.CONDUCT} == {*CONDUCT, "maximize"}
    assert {f.probe for f in audit.defects} == {"maximize"}
    assert "\nconduct " in str(audit)


SOUND = {
    "SGD": functools.partial(torch.optim.SGD, momentum=0.9),
    "AdamW": torch.optim.AdamW,
    "Adagrad": torch.optim.Adagrad,
    "RMSprop": torch.optim.RMSprop,
    "NAdam": torch.optim.NAdam,
    "Rprop": torch.optim.Rprop,
    "Adafactor": torch.optim.Adafactor,
    "Muon": torch.optim.Muon,
    "ours, adamw": rules.adamw,
    "ours, muon": rules.muon,
    "ours, soap": rules.soap,
    "ours, over layers": nd.Declaration(
        "layers", (), nd.W - nd.over_layers(nd.frobenius, nd.lp(1)).sharp(nd.ema(nd.G, 0.9))
    ),
}


@pytest.mark.parametrize("factory", SOUND.values(), ids=SOUND.keys())
def test_nothing_is_found_where_nothing_is_wrong(factory):
    found = [probe(Subject("x", factory), dtype=F64) for probe in (*CONDUCT.values(), storage)]
    assert [str(f) for f in found if f.status is not Status.HOLDS] == []


@pytest.mark.parametrize("name", ["AdamP", "Lion", "Lamb", "ScheduleFreeAdamW", "SOAP"])
def test_nothing_is_found_in_sound_optimizers_of_others(name):
    optimizers = pytest.importorskip("pytorch_optimizer")
    subject = Subject("x", getattr(optimizers, name))
    found = [probe(subject, dtype=torch.float32) for probe in CONDUCT.values()]
    assert [str(f) for f in found if f.defect] == []
