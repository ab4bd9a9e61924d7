"""The node of an iterated LMO: what it knows of norms, and its mirror image."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses

import normdsl as nd
from normdsl import G
from normdsl.expressions.shapes import MATRIX
from normdsl.norms import operator_norm
from normdsl.norms.iterated import Graph, Iterated, exponent, graph, transposed

INF = float("inf")
KNOWN = {
    "frobenius": (nd.frobenius, Graph("entries", 2.0)),
    "max_entry": (nd.max_entry, Graph("entries", INF)),
    "nuclear": (nd.nuclear, Graph("singular", 1.0)),
    "rows": (operator_norm(2, INF), Graph("rows", INF)),
    "columns": (nd.column_norm(nd.lp(2), nd.lp(1)), Graph("cols", 1.0)),
    "multiple": (3 * nd.spectral, Graph("singular", INF, 3.0)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_norm_is_known_by_its_profile(name):
    norm, known = KNOWN[name]
    assert graph(norm) == known


@pytest.mark.parametrize("name", KNOWN)
def test_the_transposed_norm_measures_the_transpose(name):
    norm, x = KNOWN[name][0], random_matrix(3, 4)
    turned = evaluate(transposed(norm).value(G), x)[0, 0]
    torch.testing.assert_close(turned, evaluate(norm.value(G), x.mT)[0, 0])
    assert transposed(transposed(norm)) == norm


@pytest.mark.parametrize(
    "norm", [nd.schatten(3), nd.entrywise(3), nd.rms, nd.row_norm(nd.lp(1), nd.lp(2))], ids=str
)
def test_other_norms_are_refused(norm):
    with refuses(nd.DeclarationError, "find the LMO of a combination with"):
        graph(norm)


def test_gauges_of_combinations():
    assert [exponent(nd.lp(p)) for p in (1, 2, INF)] == [1.0, 2.0, INF]
    for gauge in (nd.lp(3), nd.norms.Top(2)):
        with refuses(nd.DeclarationError, "the gauge"):
            exponent(gauge)


def test_more_steps_come_nearer():
    m, parts = random_matrix(3, 4), (nd.spectral, 2 * nd.max_entry)
    gained = [
        -float((m * evaluate(Iterated(G, parts, nd.lp(INF), n), m)).sum()) for n in (3, 30, 2000)
    ]
    assert gained[0] < gained[1] < gained[2]


def test_it_is_a_matrix_and_is_shown():
    node = Iterated(G, (nd.spectral, nd.max_entry), nd.lp(INF), 10)
    assert node.shape == MATRIX
    assert str(node) == "lmoinf(G, ‖X‖₂, ‖X‖∞)"
