"""Readings: groups are read again where an entry changed, and only there."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl.algorithms import adamw, lion
from normdsl.compiler.runtime.readings import read


def groups(count=2):
    return adamw([{"params": [nn.Parameter(torch.ones(2))]} for _ in range(count)]).param_groups


def test_groups_that_say_the_same_are_read_once():
    own = groups()
    first = read(own, None)
    assert read(own, first) is first
    assert first.alike == [0, 0]


@pytest.mark.parametrize(
    ("key", "value"),
    [("lr", 0.5), ("betas", (0.5, 0.6)), ("maximize", True), ("rule", lion), ("mine", 1)],
)
def test_an_entry_that_changes_is_read(key, value):
    own = groups()
    if key == "rule":  # with what it needs
        own[1].update(lion([nn.Parameter(torch.ones(2))]).param_groups[0])
    first = read(groups(), None)
    own[1][key] = value
    second = read(own, first)
    assert second is not first
    assert read(own, second) is second
    if key in ("lr", "betas"):
        assert second.alike == [0, 1]
        assert second.each[1].hyper != second.each[0].hyper
    del own[1]
    assert len(read(own, second).each) == 1


def test_what_is_not_legal_is_refused_whenever_it_comes():
    own = groups()
    first = read(own, None)
    own[0]["lr"] = -1.0
    for _ in range(2):
        with pytest.raises(nd.HyperparameterError, match="lr"):
            read(own, first)


def test_a_tensor_that_is_written_in_place_holds_at_the_next_step():
    w = nn.Parameter(torch.zeros(1))
    opt = nd.algorithms.sgd_momentum([w], lr=torch.tensor(1.0), momentum=0.0)
    for rate in (1.0, 0.25):
        opt.param_groups[0]["lr"].fill_(rate)
        before = w.item()
        w.grad = torch.ones(1)
        opt.step()
        assert before - w.item() == rate
