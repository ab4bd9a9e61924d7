"""What gauges measure: entries along axes, and a few scalars."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G
from normdsl.norms.vectors import Entries, Parts

AXES = {"rows": 0, "cols": 1, "all": (0, 1)}
PARTS = Parts((nd.inner(G, G), nd.sum(nd.abs(G)), nd.max(nd.abs(G))))


@pytest.mark.parametrize("over", AXES)
def test_entries_along_axes(over):
    g, v = random_matrix(3, 4), Entries(G, over)
    axes = AXES[over]
    for found, expected in (
        (v.total(nd.abs), g.abs().sum(axes, keepdim=True)),
        (v.largest(nd.abs), g.abs().amax(axes, keepdim=True)),
        (v.kth_largest(nd.abs, 1), g.abs().amax(axes, keepdim=True)),
        (v.length(), torch.linalg.vector_norm(g, dim=axes, keepdim=True)),
    ):
        torch.testing.assert_close(evaluate(found, g), expected.expand(3, 4))
    assert v.map(nd.sign) == nd.sign(G)


def scalars(g):
    return torch.stack([g.square().sum(), g.abs().sum(), g.abs().max()])


def test_a_few_scalars():
    g = random_matrix(3, 4)
    for found, expected in (
        (PARTS.total(nd.abs), scalars(g).sum()),
        (PARTS.largest(nd.abs), scalars(g).max()),
        (PARTS.length(), scalars(g).norm()),
    ):
        torch.testing.assert_close(evaluate(found, g)[0, 0], expected)
    assert PARTS.map(nd.sqrt)[0] == nd.sqrt(nd.inner(G, G))


@pytest.mark.parametrize("vector", [PARTS, Entries(nd.frobenius.value(G), "layers")])
def test_lengths_of_scalars_are_scaled(vector):
    """Squares of 1e200 overflow."""
    g = torch.full((1, 1), 1e154, dtype=torch.float64)
    assert evaluate(Parts((nd.sum(nd.abs(G)),) * 2).length(), 1e46 * g).item() == pytest.approx(
        2**0.5 * 1e200
    )
    assert evaluate(vector.length(), 0 * g).item() == 0


def test_places_among_scalars_are_not_taken():
    with refuses(nd.DeclarationError, "the sum of the k largest", "nd.lp(p)"):
        PARTS.kth_largest(nd.abs, 2)
