"""Starts: the laws by which a state may be told to start, and what assumptions say of them."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance import starts
from normdsl.compiler.invariance.conditions import Assumption, Kind
from normdsl.compiler.invariance.laws import INVARIANT

P = nd.fix(lambda s: s, nd.eye_like(G @ G.T))
D = nd.fix(lambda s: s, nd.zeros_like(G) + 1)
S = nd.fix(lambda s: s, nd.rows)


@pytest.mark.parametrize(
    ("group", "state", "shown"),
    [
        (g.left_affine, P, ["(contra_A, contra_A)", "(cov_A, cov_A)"]),
        (g.right_affine, P, []),
        (g.left_orthogonal, P, ["(orthogonal P, orthogonal P)"]),
        (g.signed_permutations, P, ["(signed permutation P, signed permutation P)",
                                    "(permutation P, permutation P)"]),
        (g.scale, D, [f"entries {x}" for x in ("S", "S^(-1)", "S^(2)", "S^(-2)")]),
        (g.loss_scale, S, ["unit c", "unit c^(-1)", "unit c^(2)", "unit c^(-2)"]),
        (g.loss_transform, S, []),
        (g.translation, D, ["shifted by T"]),
        (g.translation, P, []),
    ],
    ids=str,
)  # fmt: skip
def test_the_laws_of_a_start(group, state, shown):
    assert [str(law) for law in starts.possible(group, state)] == shown


def test_assumptions_say_how_states_start():
    given = frozenset({Assumption(Kind.TRANSPORTED, P), Assumption(Kind.UNMOVED, D),
                       Assumption(Kind.FULL_RANK, P), Assumption(Kind.TRANSPORTED, G)})  # fmt: skip
    found = {x.state: x.laws for x in starts.told(given, g.left_affine)}
    assert found == {P: tuple(starts.possible(g.left_affine, P)), D: (INVARIANT,)}
    assert starts.told(given, g.transpose) == ()
    ways = starts.ways(starts.told(given, g.left_affine))
    assert [way[P] for way in ways] == starts.possible(g.left_affine, P)
    assert starts.ways(()) == [{}]


def test_too_many_ways_are_none():
    states = [nd.fix(lambda s, k=k: s + 0 * k * W, nd.zeros_like(G) + k) for k in range(2, 6)]
    given = frozenset(Assumption(Kind.TRANSPORTED, s) for s in states)
    assert starts.ways(starts.told(given, g.affine)) is None


@nd.optimizer
def growing(lr=0.1, start: nd.Positive = 0.1, weight_decay=0.1, eps=0.1):
    """d moves like W, or not at all: as the length of a step, and as a rate of decay, not both."""
    size = nd.frobenius.value(G)
    d = nd.fix(lambda d: nd.maximum(d, d * size * nd.reciprocal(size + eps)), start)
    return (1 - lr * d * weight_decay) * W + lr * d * nd.frobenius.lmo(G)


def test_a_state_starts_in_one_way_though_it_is_judged_where_a_parameter_is_zero():
    """Once: d at ε = 0 was another state than d, and might start otherwise."""
    verdict = growing.check(g.uniform_scale, witnesses=False)
    assert verdict.answer == (
        "invariant if eps = 0, weight_decay = 0 and d starts transformed along with the weights"
    )
