"""Singular values of first steps."""

import attrs

import normdsl as nd
from normdsl.benchmarks import ours, peers
from normdsl.benchmarks.spread import spread


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
