"""States in the coordinates of an eigenbasis: read in those of this step, where they need be."""

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.expressions.traversal import walk

Q, P = nd.eigenbasis(nd.ema(G @ G.T, 0.9)), nd.eigenbasis(nd.ema(G.T @ G, 0.9))
X = Q.T @ G @ P
OLD_Q, OLD_P = nd.prev(Q), nd.prev(P)
#: Names for what states are read with.
NAMES = {Q: "Q", P: "P"}


def reads(expr):
    """Whether an expression reads an eigenbasis of a step ago."""
    return bool({OLD_Q, OLD_P} & set(walk(expr)))


def odd(s):
    return Q.T @ OLD_Q @ s @ (OLD_P.T @ P)


def even(s):
    return (Q.T @ OLD_Q) ** 2 @ s @ (OLD_P.T @ P) ** 2


ZERO = nd.zeros_like(G)
TURNED = {
    "an average": (nd.ema(X, 0.9), nd.ema_in_basis(G, 0.9, Q, P)),
    "a sum": (nd.accumulate(X), nd.fix(lambda s: odd(s) + X, ZERO)),
    "squares": (nd.accumulate(X**2), nd.fix(lambda s: even(s) + X**2, ZERO)),
    "a maximum": (nd.running_max(X**2), nd.fix(lambda s: nd.maximum(even(s), X**2), ZERO)),
    "rows": (
        nd.accumulate(nd.sum(X**2, over="cols")),
        nd.fix(
            lambda s: (Q.T @ OLD_Q) ** 2 @ s + nd.sum(X**2, over="cols"),
            nd.zeros_like(nd.sum(G, over="cols")),
        ),
    ),
    "one side": (
        nd.accumulate((G @ P) ** 2),
        nd.fix(lambda s: s @ (OLD_P.T @ P) ** 2 + (G @ P) ** 2, ZERO),
    ),
}
UNTOUCHED = {
    "the value of a step ago": nd.prev(G),
    "no basis": nd.ema(G, 0.9),
    "turned back": nd.ema(Q @ nd.sign(X) @ P.T, 0.9),
    "a number": nd.ema(nd.sum(X**2), 0.9),
    "no known coordinates": nd.ema(nd.exp(X), 0.9),
}


@pytest.mark.parametrize(("ours", "literal"), TURNED.values(), ids=TURNED.keys())
def test_it_is_written_out(ours, literal):
    assert ours == literal


@pytest.mark.parametrize("expr", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_what_needs_no_turning_is_left_alone(expr):
    assert not reads(expr)


def test_a_value_of_a_step_ago_is_what_it_was():
    assert not reads(nd.prev(X**2))
    average = nd.ema(X**2, 0.9)
    assert nd.prev(average).recursion == average.recursion
    assert not reads(nd.prev(nd.exp(X)))


def test_an_old_value_that_is_read_out_turns_as_well():
    nesterov = nd.momentum(X**2, 0.9, readout=0.5)
    old = nd.prev(nd.ema(X**2, 0.9))
    assert nesterov == 0.5 * even(old) + 0.5 * X**2


def test_coupled_states_turn_with_a_basis_of_one_of_them():
    def step(left, v):
        g = nd.eigenbasis(left).T @ G
        return 0.9 * left + G @ G.T, 0.9 * v + g * g

    left, v = nd.fix(step, (nd.eye_like(G @ G.T), ZERO))
    assert "before(fix(eigenbasis(" in str(v)
    assert "eigenbasis" not in str(left)


def test_a_start_is_not_turned_at_the_first_step():
    sums = nd.accumulate(X**2, ZERO + 3)
    rule = nd.Declaration("sums", (), 0 * W + sums)
    g = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pure = nd.functional(rule, nd.exact)
    w = torch.zeros(3, 3, dtype=torch.float64)
    state, totals = pure.init(w), []
    for k in (1, 2):
        w, state = pure.update(k * g, state, w)
        totals.append(w)
    s = torch.linalg.svdvals(g)
    torch.testing.assert_close(totals[0], 3 + torch.diag(s**2))  # in the basis of the first step
    torch.testing.assert_close(totals[1], 3 + torch.diag(5 * s**2))


def test_columns_that_change_places_take_their_moments_along():
    """Two directions take turns at being the largest; each keeps the second moment it had."""
    rule = nd.Declaration("moments", (), 0 * W + nd.accumulate(X**2))
    pure, w = nd.functional(rule, nd.exact), torch.zeros(2, 2, dtype=torch.float64)
    state = pure.init(w)
    for diagonal in ([2.0, 1.0], [0.0, 4.0], [0.0, 0.0]):
        w, state = pure.update(torch.diag(torch.tensor(diagonal)).double(), state, w)
    torch.testing.assert_close(w, torch.diag(torch.tensor([17.0, 4.0])).double())


def test_what_is_turned_is_shown_by_name_and_saved():
    @nd.optimizer
    def adaptive(lr=0.1, beta: nd.Fraction = 0.9):
        Q = nd.eigenbasis(nd.ema(G @ G.T, beta))
        v = nd.ema((Q.T @ G) ** 2, beta)
        return W - lr * (Q @ (Q.T @ G / (nd.sqrt(v) + 1)))

    assert "v        ← β (Qᵀ Q_old)² v_old + (1 − β) (Qᵀ G)²" in str(adaptive)
    assert nd.from_json(nd.to_json(adaptive)) == adaptive
    assert adaptive.on_gradient(lambda x: x) == adaptive
    p = torch.nn.Parameter(torch.ones(3, 2))
    opt = adaptive([p])
    opt.init_state()
    assert {"v", "Q"} < set(opt.state[p])


def test_bases_that_turn_states_are_not_rounded_with_all_states():
    rule = nd.Declaration("moments", (), W - nd.ema(X**2, 0.9))
    shorter = {"bfloat16": torch.float32, (("Q", "bfloat16"),): torch.bfloat16}
    for policy, dtype in shorter.items():
        p = torch.nn.Parameter(torch.ones(3, 2))
        named = nd.Declaration("moments", (), rule.update, names=(("Q", Q), ("P", P)))
        opt = named([p], schedule=nd.Schedule(state=policy))
        opt.init_state()
        assert opt.state[p]["Q"].dtype is dtype
        costs = {line[0]: line[2] for line in opt.explain().lines[0].state}
        assert costs["Q"] == str(dtype).removeprefix("torch.")
