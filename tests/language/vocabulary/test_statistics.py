"""Statistics: the largest so far, coupled factors, averages in coordinates that change."""

import pytest
import torch
from properties import random_matrix, refuses, run

import normdsl as nd
from normdsl import G, W

BASES = nd.eigenbasis(nd.ema(G @ G.T, 0.5)), nd.eigenbasis(nd.ema(G.T @ G, 0.5))

W0 = random_matrix(4, 4, 9)


def gradients(rows=4, cols=4, steps=5):
    return [random_matrix(rows, cols, seed) for seed in range(steps)]


def test_the_largest_so_far_starts_at_zero():
    values = run(nd.running_max(G), gradients())
    largest = torch.zeros(4, 4, dtype=torch.float64)
    for g, value in zip(gradients(), values, strict=True):
        largest = torch.maximum(largest, g)
        assert torch.equal(value, largest)


def test_coupled_factors_read_each_others_old_values():
    left, right = nd.coupled_grams(G, 0.9, 2)
    for expr, side in ((left, 0), (right, 1)):
        L, R = 2 * torch.eye(3).double(), 2 * torch.eye(5).double()
        for g in gradients(3, 5, 3):
            L, R = (
                0.9 * L + 0.1 / 5 * g @ torch.linalg.inv(R) @ g.T,
                0.9 * R + 0.1 / 3 * g.T @ torch.linalg.inv(L) @ g,
            )
        found = run(expr @ W if side == 0 else W @ expr, gradients(3, 5, 3), random_matrix(3, 5, 9))
        expected = L @ random_matrix(3, 5, 9) if side == 0 else random_matrix(3, 5, 9) @ R
        torch.testing.assert_close(found[-1], expected, rtol=1e-10, atol=1e-10)


def test_coupled_factors_are_definite_so_that_they_have_roots():
    for factor in nd.coupled_grams(G, 0.9):
        assert factor.facts.psd
        assert nd.matrix_power(factor, -1 / 2).shape == factor.shape


def test_an_average_turned_along_is_the_average_turned():
    """Q sᵗ Pᵀ is the average of x itself, whatever the bases did in between."""
    q, p = BASES
    turned = q @ nd.ema_in_basis(G, 0.8, q, p) @ p.T
    for found, plain in zip(
        run(turned, gradients()), run(nd.ema(G, 0.8), gradients()), strict=True
    ):
        torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-10)


def test_rates_are_checked():
    with refuses(nd.DomainError, "rate"):
        nd.coupled_grams(G, 1)
    with refuses(nd.DomainError, "rate"):
        nd.ema_in_basis(G, -1, *BASES)


@pytest.mark.parametrize("bases", [BASES[::-1], (W, W)])
def test_bases_of_other_shapes_are_refused(bases):
    with refuses(nd.ShapeError):
        nd.ema_in_basis(G, 0.5, *bases)


def test_a_window_holds_the_last_values():
    a, b, c = nd.recent(G, 3)
    pure = nd.functional(nd.Declaration("rule", (), W - (a + 10 * b + 100 * c)))
    w = torch.zeros(2, 2)
    state, found = pure.init(w), []
    for step in (1.0, 2.0, 3.0, 4.0):
        new, state = pure.update(torch.full_like(w, step), state, w)
        found.append(-float(new[0, 0]))
    assert found == [1, 12, 123, 234]
    assert nd.recent(G, 1) == [G]
    with refuses(nd.DeclarationError, "whole number of values"):
        nd.recent(G, 0)


def test_an_average_starts_from_a_matrix():
    found = run(nd.ema(G @ G.T, 0.8, init=2 * nd.eye_like(G @ G.T)) @ W, gradients(), W0)
    s = 2 * torch.eye(4, dtype=torch.float64)
    for g, value in zip(gradients(), found, strict=True):
        s = 0.8 * s + 0.2 * g @ g.mT
        torch.testing.assert_close(value, s @ W0)
    assert nd.ema(G, 0.8, init=nd.zeros_like(G)) == nd.ema(G, 0.8)
    with refuses(nd.DeclarationError, "from a value"):
        nd.ema(G, 0.8, debias=True, init=nd.zeros_like(G))


def test_bfgs_explains_the_last_step_and_stays_definite():
    s, y = nd.sum(G, over="cols"), nd.sum(G @ G.T @ G, over="cols")
    H = nd.fix(lambda H: nd.bfgs_update(H, s, y), nd.eye_like(G @ G.T))
    for g, value in zip(gradients(), run(H @ W, gradients(), W0), strict=True):
        h = value @ torch.linalg.inv(W0)
        step, change = g.sum(1), (g @ g.mT @ g).sum(1)
        assert float(torch.linalg.eigvalsh((h + h.mT) / 2)[0]) > 0
        torch.testing.assert_close(h, h.mT)
        if float(step @ change) > 0:
            torch.testing.assert_close(h @ change, step)
    assert any(float(g.sum(1) @ (g @ g.mT @ g).sum(1)) > 0 for g in gradients())


def test_a_fitted_hessian_agrees_with_products_and_comes_near():
    """Of ½ wᵀ A w with A of norm 1, by steps that leave the weights where they are."""
    root = random_matrix(4, 4, 3)
    A = root @ root.mT / float(torch.linalg.matrix_norm(root, 2)) ** 2
    p = torch.nn.Parameter(random_matrix(2, 2, 4))

    @nd.optimizer
    def watch(lr=0.0):
        B = nd.fitted_hessian(0)
        return W - lr * nd.unvec(B @ nd.vec(G))

    opt = watch([p])

    def closure():
        opt.zero_grad()
        value = p.reshape(-1) @ A @ p.reshape(-1) / 2
        value.backward(create_graph=True)
        return value

    gaps = []
    for _ in range(60):
        opt.step(closure)
        gaps.append(float((opt.state[p]["B"] - A).norm()))
    assert all(x <= y + 1e-12 for x, y in zip(gaps[1:], gaps, strict=False))
    assert gaps[-1] < 1e-3 * gaps[0]
