"""Singular values of first steps."""

import attrs
import pytest
import torch

import normdsl as nd
from normdsl.benchmarks import ours, peers
from normdsl.benchmarks.spread import _conditioned, _from_median, spread


def test_singular_values_of_exact_and_of_iterated_polar_factors():
    shapes = ((6, 4), (4, 6))
    everybody = {c.name: c for c in (*peers.contestants(), *ours.contestants())}
    assert spread(everybody["torch AdamW fused"], shapes, "cpu") is None
    assert spread(everybody["torch Muon"], shapes, "cpu") > 1e-2
    exact = attrs.evolve(
        everybody["normdsl Muon"],
        make=lambda params, device: nd.algorithms.muon(params, schedule=nd.exact),
    )
    assert spread(exact, shapes, "cpu") < 1e-6


def test_singular_values_are_those_that_were_asked_for():
    for shape in ((6, 4), (4, 6)):
        values = torch.linalg.svdvals(_conditioned(torch.Size(shape), "cpu"))
        torch.testing.assert_close(values, torch.logspace(0, -1, 4, dtype=torch.float64))
    assert _from_median(torch.diag(torch.tensor([1.0, 1.25, 0.5]))) == pytest.approx(0.5)
    assert _from_median(2 * torch.eye(2, 3)) == pytest.approx(0)
