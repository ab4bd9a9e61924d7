"""Parts of flattened parameters step by entry-wise rules alone."""

import pytest
import torch
from stepping import train
from torch import nn

import normdsl as nd
from normdsl.algorithms import adamw, muon
from normdsl.errors import GradientError


@nd.optimizer
def clipped(lr=0.1):
    return nd.W - lr * nd.clip(nd.G, 1.0, over="layers")


def part(mark: str, shape=(6,)) -> nn.Parameter:
    """Return a parameter as FSDP1 or ZeRO-3 leave it."""
    p = nn.Parameter(torch.ones(shape))
    setattr(p, mark, True)
    return p


@pytest.mark.parametrize("mark", ["_fsdp_flattened", "ds_id"])
@pytest.mark.parametrize("rule", [muon, clipped])
def test_a_rule_that_knows_shapes_refuses_them_whatever_the_view(mark, rule):
    with pytest.raises(GradientError, match="part of a vector") as refused:
        rule([part(mark)], view=nd.views.flat)
    assert "views.flat" not in str(refused.value)


@pytest.mark.parametrize("mark", ["_fsdp_flattened", "ds_id"])
def test_an_entrywise_rule_takes_them(mark):
    marked, plain = part(mark), nn.Parameter(torch.ones(6))
    for p in (marked, plain):
        train(adamw([p]))
    assert torch.equal(marked, plain)


def test_parameters_that_are_flattened_later_are_refused_then():
    """FSDP1 shows whole weights while it is summoned, and parts at a step."""
    p = nn.Parameter(torch.ones(2, 3))
    opt = muon([p])
    p._fsdp_flattened = True  # NO_SHARD: weights as they are
    train(opt)
    p.data = torch.ones(3)
    with pytest.raises(GradientError, match="part of a vector"):
        train(opt)


def test_they_are_refused_where_a_process_has_no_part_of_them_too():
    """Else it would step, and wait for the others forever."""
    p, other = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    opt = muon([p, other])
    p._fsdp_flattened = True
    p.data = torch.ones(0)
    other.grad = torch.ones(2, 3)
    with pytest.raises(GradientError, match="part of a vector"):
        opt.step()


def test_a_model_of_flattened_parameters_has_no_roles():
    """Once by intent: its matrices would all be vectors, and step by the rule of vectors."""
    model = nn.Linear(2, 3)
    model.weight = part("_fsdp_flattened")
    with pytest.raises(GradientError, match="find the role of weight"):
        nd.route(model, hidden=muon, vector=adamw)
