"""Every simplification rule: the result it gives, and equality of both sides in numbers."""

import proofs
import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering import simplify as s
from normdsl.compiler.lowering.simplify import IDENTITIES, Simplification
from normdsl.declaration import Declaration
from normdsl.expressions.nodes import Inverse, MatrixPower, Maximum
from normdsl.expressions.nodes.arithmetic import Add, Mul, Pow
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.nodes.products import Transpose

v = nd.ema(G * G, 0.5)
L = nd.accumulate(G @ G.T, nd.eye_like(G @ G.T))
Q = nd.eigenbasis(L)
half, minus = as_expr(0.5), as_expr(-1)
damped = G @ G.T + 2 * (nd.eye_like(L) + L)  # invertible, whatever G is

CASES = {
    s.pull_out_minus: [(Mul(G, -W), -(G * W)), (Mul(-G, W), -(G * W)), (L @ (-G), -(L @ G)),
                       ((-L) @ G, -(L @ G))],
    s.cancel_two_minuses: [(Mul(minus, -G), G)],
    s.join_constants: [(Mul(as_expr(2), Mul(as_expr(3), G)), 6 * G)],
    s.power_of_power: [(Pow(Pow(v, half), half), v**0.25), (Pow(Pow(v, half), as_expr(2)), v)],
    s.product_of_powers: [(Mul(Pow(v, half), Pow(v, half)), v)],
    s.product_of_reciprocals: [
        (nd.reciprocal(v) * (nd.reciprocal(v) * G), nd.reciprocal(v * v) * G)
    ],
    s.product_of_matrix_powers: [
        (MatrixPower(L, as_expr(-0.25)) @ (MatrixPower(L, as_expr(-0.25)) @ G),
         MatrixPower(L, as_expr(-0.5)) @ G),
        ((G.T @ MatrixPower(L, half)) @ MatrixPower(L, half), G.T @ L),
        (MatrixPower(L, half) @ ((MatrixPower(L, half) @ G) @ (W.T @ G)), (L @ G) @ (W.T @ G)),
        (MatrixPower(L, half) @ MatrixPower(L, half), L),
        (MatrixPower(L, half) @ (MatrixPower(L, as_expr(-0.25)) @ G),
         MatrixPower(L, as_expr(0.25)) @ G),
        (nd.inverse(damped) @ (damped @ G), G),
        ((G.T @ damped) @ nd.inverse(damped), G.T),
        (MatrixPower(damped, half) @ (MatrixPower(damped, -half) @ G), G),
    ],
    s.basis_and_back: [
        (Q.T @ (Q @ G), G),
        (Q.T @ ((Q @ G) @ (W.T @ G)), G @ (W.T @ G)),
        ((G.T @ Q.T) @ Q, G.T),
    ],
    s.identities_of_one_node: [
        (Transpose(Transpose(G)), G),
        (Transpose(L), L),
        (Transpose(Mul(minus, G)), -(G.T)),
        (Inverse(Inverse(W @ G.T)), W @ G.T),
        (Mul(as_expr(1), G), G),
        (Add(G, Mul(minus, G)), nd.zeros_like(G)),
        (Maximum(G, G), G),
        (MatrixPower(L, as_expr(1)), L),
    ],
}  # fmt: skip


def test_every_rule_has_a_case():
    assert set(CASES) == set(IDENTITIES)


@pytest.mark.parametrize("rule", IDENTITIES, ids=lambda r: r.__name__)
def test_the_rule_fires_and_keeps_the_value(rule):
    for before, after in CASES[rule]:
        assert rule(before) == after
        assert Simplification()(before) == Simplification()(after)
        ours, theirs = values([before, after])
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("rule", "expr"),
    [
        (s.power_of_power, Pow(Pow(G, as_expr(2)), half)),
        (s.product_of_powers, Mul(Pow(v, half), Pow(v, as_expr(-0.5)))),
        (s.product_of_matrix_powers,
         MatrixPower(L, half) @ (MatrixPower(L, as_expr(-0.5)) @ G)),
        (s.product_of_matrix_powers, nd.inverse(G @ G.T) @ (G @ G.T @ G)),
        (s.product_of_matrix_powers, nd.inverse(W @ G.T) @ ((W @ G.T) @ G)),
        (s.product_of_matrix_powers, nd.inverse(L + 0 * nd.eye_like(L)) @ (L @ G)),
        (s.product_of_matrix_powers, L @ (MatrixPower(L, -half) @ G)),
        (s.pull_out_minus, Mul(G, W)),
        (s.basis_and_back, Q.T @ (nd.eigenbasis(W @ W.T) @ G)),
        (s.basis_and_back, nd.cholesky(L).T @ (nd.cholesky(L) @ G)),
    ],
)  # fmt: skip
def test_the_rule_does_not_fire_where_it_would_be_wrong(rule, expr):
    assert rule(expr) is None


def values(exprs):
    carrier = Declaration("carrier", (), W + G + v + L @ G)
    probe = proofs.Probe(carrier, exprs)
    streams = proofs.random_streams((3, 4), 0)
    return probe.run(streams, probe.start(streams[0][0], {}), {})[-1]


def test_no_rule_fires_where_a_root_would_become_illegal():
    """−x S with −x ≥ 0 is known to be definite, −(x S) is not."""
    x = nd.maximum(-nd.t, -1)
    root = nd.matrix_power((-x) * (G @ G.T) + G @ G.T, half)
    simple = Simplification()(root)
    assert simple.facts.psd
    torch.testing.assert_close(*values([root @ G, simple @ G]))
