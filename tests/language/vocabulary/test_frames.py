"""Frames of a chosen rank: shapes, what is refused, what they are as numbers, and texts."""

import pytest
import torch
from properties import random_matrix

import normdsl as nd
from normdsl import G, W
from normdsl.errors import DeclarationError, DomainError, HyperparameterError, ShapeError
from normdsl.expressions import nodes
from normdsl.expressions.domains import RANK, SHARE
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import Dim, Rank, Shape

RANK4 = nodes.rank_of(as_expr(4))
PARAM = nodes.Param("rank", RANK)
PART = nodes.Param("share", SHARE)


@nd.optimizer
def rule(lr=0.1, rank: nd.Rank = 3):
    P = nd.top_singular(G, rank)
    m = nd.ema(P.T @ G, 0.5)
    return W - lr * P @ m


def value(expr, g):
    """Return the value of an m×n expression without states."""
    step = nd.Declaration("step", (), W + 0 * G + expr)
    pure = nd.functional(step, nd.exact)
    w = torch.zeros_like(g)
    return pure.update(g, pure.init(w), w)[0]


@pytest.mark.parametrize(
    ("expr", "shape"),
    [
        (nd.top_singular(G, 4), Shape(Dim.M, RANK4)),
        (nd.top_singular(G.T, PARAM), Shape(Dim.N, Rank(PARAM))),
        (nd.range_basis(G.T, 4), Shape(Dim.N, RANK4)),
        (nd.random_frame(nd.cols, 4), Shape(Dim.N, RANK4)),
        (nd.normal(4, nd.rows), Shape(RANK4, Dim.M)),
        (nd.top_singular(G, 4).T @ G, Shape(RANK4, Dim.N)),
        (nd.qr(G @ G.T), Shape(Dim.M, Dim.M)),
        (nd.top_singular(G, 0.25), Shape(Dim.M, Rank(as_expr(0.25), share=True))),
        (nd.normal(nd.cols, PART), Shape(Dim.N, Rank(PART, share=True))),
    ],
    ids=str,
)
def test_shapes(expr, shape):
    assert expr.shape == shape


def test_ranks_of_two_names_do_not_fit():
    other = nodes.Param("other", RANK)
    with pytest.raises(ShapeError):
        nd.top_singular(G, PARAM) @ nd.top_singular(G, other).T
    with pytest.raises(ShapeError):
        nd.top_singular(G, 2) + nd.top_singular(G, 3)


@pytest.mark.parametrize("rank", [0, 2.5, -1, nodes.Param("rank", nd.Positive.__metadata__[0]), G])
def test_a_rank_is_a_whole_number(rank):
    with pytest.raises(DomainError, match="whole number"):
        nd.top_singular(G, rank)


def test_what_has_no_frame_is_refused():
    with pytest.raises(ShapeError, match="range_basis"):
        nd.qr(G)
    with pytest.raises(ShapeError, match="itself"):
        nd.top_singular(nd.sum(G, over="rows"), 2)
    with pytest.raises(DeclarationError, match="key"):
        nd.normal(nd.rows, 2, key=-1)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_the_leading_singular_part_is_the_best_of_its_rank(shape):
    g = random_matrix(*shape, 1)
    P = nd.top_singular(G, 2)
    u, s, vh = torch.linalg.svd(g, full_matrices=False)
    torch.testing.assert_close(value(P @ P.T @ G, g), u[:, :2] * s[:2] @ vh[:2])


def test_a_random_basis_spans_a_range_of_its_rank():
    g = random_matrix(6, 2, 1) @ random_matrix(2, 5, 2)
    P = nd.range_basis(G, 2)
    torch.testing.assert_close(value(P @ P.T @ G, g), g)


def test_a_random_frame_is_orthonormal_and_uniform():
    """The mean of F Fᵀ over all frames is (r/m) I."""
    F = nd.random_frame(nd.rows, 2)
    step = nd.Declaration("step", (), 0 * W + F @ F.T @ G)
    pure, eye = nd.functional(step, nd.exact), torch.eye(3, dtype=torch.float64)
    seen = torch.stack([pure.update(eye, pure.init(eye, seed=k), eye)[0] for k in range(200)])
    torch.testing.assert_close(seen @ seen, seen)
    torch.testing.assert_close(seen.mean(0), 2 / 3 * eye, rtol=0, atol=0.1)


def test_a_length_beyond_the_matrix_is_that_of_the_matrix():
    g = random_matrix(3, 5, 1)
    P = nd.top_singular(G, 99)
    torch.testing.assert_close(value(P @ P.T @ G, g), g)


def test_ranks_are_texts_json_and_hyper_parameters():
    assert str(rule.update.children[1].shape) == "m×n"
    assert nd.from_json(nd.to_json(rule)) == rule
    assert nd.to_json(nd.from_json(nd.to_json(rule))) == nd.to_json(rule)
    assert rule.hyperparameter("rank").domain.in_words("rank") == "a whole number ≥ 1"
    for wrong in (0, 2.5):
        with pytest.raises(HyperparameterError, match="whole number"):
            rule.bind(rank=wrong)


def test_sized_fixes_the_lengths_and_keeps_their_names():
    sized = rule.sized({"lr": 0.5})
    assert sized.defaults == rule.defaults
    assert sized.update == rule.bind(rank=3).update
    assert sized.sized({"rank": 7}) == sized
    assert rule.sized({"rank": torch.tensor(2)}).update == rule.bind(rank=2).update
    assert nd.algorithms.adam.sized({}) is nd.algorithms.adam


def test_a_length_without_a_value_is_refused():
    @nd.optimizer
    def bare(rank: nd.Rank, lr=0.1):
        return W - lr * nd.top_singular(G, rank) @ nd.top_singular(G, rank).T @ G

    with pytest.raises(HyperparameterError, match="no default"):
        bare.source()
    assert "min(2, rows, cols)" in bare.bind(rank=2).source()


def test_selections_are_of_scores_in_a_column():
    g = random_matrix(4, 5, 1)
    E = nd.selection(nd.sum(G * G, over="cols"), 2)
    kept = (g * g).sum(1) >= (g * g).sum(1).sort().values[-2]
    torch.testing.assert_close(value(E @ E.T @ G, g), g * kept.unsqueeze(1))
    with pytest.raises(ShapeError, match="one score for each row"):
        nd.selection(nd.sum(G, over="rows"), 2)


def test_a_mask_is_one_with_its_probability():
    step = nd.Declaration("step", (), 0 * W + nd.mask(0.25, nd.rows) * G)
    pure, w = nd.functional(step), torch.ones(4000, 2)
    seen = pure.update(w, pure.init(w), w)[0]
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(seen[:, 0], seen[:, 1])
    assert abs(float(seen.mean()) - 0.25) < 0.03
    assert nd.mask(0.5).shape == nd.loss.shape
    assert nd.mask(0.5).facts.nonnegative


@nd.optimizer
def shared(lr=0.1, share: nd.Share = 0.25):
    P = nd.qr(G @ nd.normal(nd.cols, share))
    E = nd.selection(nd.sum(nd.abs(G), over="cols"), share)
    return W - lr * P @ nd.ema(P.T @ G, 0.5) - lr * E @ E.T @ G


def test_a_share_is_a_length_also_where_it_is_the_whole():
    g = random_matrix(5, 4, 1)
    opt = shared([torch.nn.Parameter(torch.zeros_like(g))], lr=1.0, share=1)
    (p,) = opt.param_groups[0]["params"]
    p.grad = g
    opt.step()
    E = g.abs().sum(1).argsort(descending=True)[:4]
    whole = 0.5 * g
    whole[E] += g[E]
    torch.testing.assert_close(p.detach(), -whole)
    again = nd.from_json(nd.to_json(shared.sized({"share": 1})))
    assert again.update.shape == shared.update.shape
    assert again == shared.sized({"share": 1})
    with pytest.raises(HyperparameterError, match="0 < share ≤ 1"):
        shared([p], share=2)


def test_no_share_tends_to_zero():
    assert shared.check("left_orthogonal").answer == "not invariant"
    assert "share" not in shared.check("translation").answer
