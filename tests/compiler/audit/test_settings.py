"""Groups that step with the settings of others are found."""

import functools

import pytest
import torch
from specimens import (
    Ascends,
    IgnoresMaximize,
    KeepsFirstRate,
    LastRateForAll,
    OneBetaForAll,
    OneRateForAll,
    Plain,
)

from normdsl import algorithms as rules
from normdsl.compiler.audit.findings import Status
from normdsl.compiler.audit.runs import RefusedError, Subject
from normdsl.compiler.audit.settings import settings

FAULTS = {
    OneRateForAll: "the second group's lr is ignored",
    LastRateForAll: "the first group's lr is ignored",
    OneBetaForAll: "the second group's beta is ignored",
    KeepsFirstRate: "lr is ignored if a group has it once the optimizer is made",
}


@pytest.mark.parametrize(
    ("fault", "told"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_a_setting_that_is_ignored_is_told(fault, told):
    found = settings(Subject("x", fault), torch.float64)
    assert found.status is Status.BREAKS
    assert found.why == told


@pytest.mark.parametrize(
    "factory",
    [
        Plain,
        Ascends,
        IgnoresMaximize,
        functools.partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1),
        functools.partial(torch.optim.AdamW, amsgrad=True),
        torch.optim.Rprop,
        rules.adamw,
    ],
)
def test_settings_of_their_own_are_none(factory):
    """What no group heeds is not ignored by one: another probe sees it."""
    assert settings(Subject("x", factory), torch.float64).status is Status.HOLDS


def test_maximize_of_one_group():
    class FirstAscends(Ascends):
        def update(self, p, g, state, group):
            super().update(p, g, state, {**group, "maximize": self.param_groups[0]["maximize"]})

    found = settings(Subject("x", FirstAscends), torch.float64)
    assert found.why == "the second group's maximize is ignored"


def test_an_optimizer_without_groups_is_not_judged():
    with pytest.raises(RefusedError, match="parameter groups"):
        settings(Subject("x", torch.optim.LBFGS, closure=True), torch.float64)
