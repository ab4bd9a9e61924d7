"""Twins: together where a rule is invariant and apart where not, on problems of one's own too."""

import pytest
import torch

import normdsl as nd
from normdsl.algorithms import adam, kfac, muadam_sania, muon
from normdsl.compiler.invariance.witness import Experiment
from normdsl.compiler.verdicts import simulate


def test_the_drift_is_that_of_the_experiments_behind_verdicts():
    found = nd.twins(adam, "scale", lr=0.01, eps=0, steps=6)
    asked = Experiment(adam, nd.groups.scale, {**adam.defaults, "lr": 0.01, "eps": 0.0})
    assert found.drift == simulate.twins(asked).drift
    assert found.parted


@pytest.mark.parametrize(
    ("rule", "group", "parted"),
    [(muadam_sania, "scale", False), (muon, "scale", True), (muon, "orthogonal", False)],
)
def test_on_a_problem_of_ones_own(rule, group, parted):
    start, goal = torch.ones(2, 2), torch.tensor([[1.0, -2.0], [0.5, 3.0]]).double()
    hyper = {"eps": 0} if "eps" in rule.defaults else {}
    found = nd.twins(
        rule, group, start=start, loss=lambda W: (W - goal).square().sum(), steps=5, **hyper
    )
    assert len(found.weights) == len(found.twin) == len(found.mapped) == 6
    assert torch.equal(found.weights[0], start.double())
    assert not torch.allclose(found.twin[0], found.weights[0])
    assert found.parted is parted
    assert f"the twins {'part at step 1' if parted else 'stay together'}" in str(found)
    assert "<svg" in found._repr_html_()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": torch.ones(2, 2)}, "one of them is missing"),
        ({"start": torch.ones(2), "loss": torch.sum}, "shape \\(2,\\)"),
        ({"rate": 1.0}, "no hyper-parameter of that name"),
    ],
)
def test_refusals(options, said):
    with pytest.raises(nd.NormdslError, match=said):
        nd.twins(muon, "scale", **options)


def test_a_rule_that_reads_moments_has_no_problem_of_ones_own():
    with pytest.raises(nd.DeclarationError, match="moments of a layer"):
        nd.twins(kfac, "affine", start=torch.ones(2, 2), loss=torch.sum)
    assert nd.twins(kfac, "loss_scale", steps=2).drift
