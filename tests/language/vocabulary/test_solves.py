"""Linear systems solved by products: exact after enough iterations, and what is refused."""

import pytest
import torch
from properties import evaluate, random_matrix, refuses
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.program import lower
from normdsl.expressions.expr import DEEPEST

GRAM = G @ G.T


def damped(v):
    return nd.hessian_product(v) + 0.5 * v


def newton_cg(iterations, operator=nd.hessian_product):
    return nd.Declaration("newton_cg", (), W - nd.solve_linear(operator, G, iterations))


def test_enough_iterations_solve_a_system():
    g, w = random_matrix(2, 5, 1), random_matrix(2, 5, 2)
    exact = torch.linalg.solve(g @ g.mT, w)
    few, enough = (evaluate(nd.solve_linear(lambda x: GRAM @ x, W, k), g, w) for k in (1, 2))
    assert not torch.allclose(few, exact, rtol=1e-2)
    torch.testing.assert_close(enough, exact)  # one for each eigenvalue


def test_further_iterations_change_nothing():
    g = random_matrix(2, 3, 1)
    few, many = (evaluate(nd.solve_linear(lambda x: 4 * x, G, k), g) for k in (1, 5))
    torch.testing.assert_close(few, g / 4)
    torch.testing.assert_close(many, g / 4)
    zero = torch.zeros_like(g)
    assert torch.equal(evaluate(nd.solve_linear(lambda x: GRAM @ x, G, 3), zero), zero)


def test_small_numbers_and_residuals_of_rounding_alone_are_not_divided_by():
    """In float32 the square of 1e-25 is 0, and 1 / 1e-40 is infinite."""
    rule = nd.functional(newton_cg(6, lambda x: W * x))
    for size in (1.0, 1e-8, 1e-15, 1e-18, 1e-21, 1e-25, 0.0):
        at, g = torch.full((1, 3), 2.0), size * torch.tensor([[1.0, 2.0, -1.0]])
        new, _ = rule.update(g, rule.init(at), at)
        assert torch.isfinite(new).all()
        torch.testing.assert_close(new, at - g / 2)


def test_a_newton_step_of_two_layers_ends_where_the_slope_is_zero():
    """The loss couples the layers, so that products and inner products are those of both."""
    A = random_matrix(4, 4, 3)
    A = A @ A.mT + torch.eye(4)
    layers = [nn.Parameter(random_matrix(1, 2, 1)), nn.Parameter(random_matrix(2, 1, 2))]
    opt, evaluations = newton_cg(4)(layers), 0

    def closure():
        nonlocal evaluations
        evaluations += 1
        opt.zero_grad()
        z = torch.cat([x.flatten() for x in layers])
        loss = z @ A @ z / 2 + z.sum()
        loss.backward(create_graph=True)
        return loss

    opt.step(closure)
    assert evaluations == 1
    found = torch.cat([x.detach().flatten() for x in layers])
    torch.testing.assert_close(found, torch.linalg.solve(A, -torch.ones(4).double()))


def test_iterations_ask_one_product_each_and_nest_little():
    for k in (1, 3, 5, 7):
        rule = newton_cg(k, damped)
        phases = lower(rule, nd.Schedule()).phases
        assert [len(x.asked) for x in phases] == [1] * k
        assert not any(x.moves for x in phases)
        assert rule.update.depth <= 15 * k + 12 < DEEPEST


def test_its_law_falls_out_of_its_parts():
    assert newton_cg(2).check("orthogonal", witnesses=False).answer == "invariant"
    assert newton_cg(2).check("loss_scale", witnesses=False).answer == "invariant"
    assert newton_cg(2, damped).check("loss_scale", witnesses=False).answer != "invariant"
    assert newton_cg(2).check("affine", witnesses=False).answer != "invariant"


def test_it_is_written_line_by_line():
    @nd.optimizer
    def rule(lr=1.0):
        d = nd.solve_linear(lambda x: GRAM @ x, G, 2)
        return W - lr * d

    lines = str(rule).splitlines()
    assert lines[1:4] == ["  d₁  ← ‖G‖_F", "  d₂  ← G d₁^+", "  d₃  ← ‖d₂‖_F²"]
    assert lines[-1] == "  W   ← W − η d"
    assert max(map(len, lines)) < 70


REFUSED = {
    "a matrix": (nd.DeclarationError, lambda: nd.solve_linear(GRAM, G, 3), "lambda v: L @ v"),
    "no iteration": (nd.DeclarationError, lambda: nd.solve_linear(damped, G, 0), "from 1 on"),
    "a tenth": (nd.DeclarationError, lambda: nd.solve_linear(damped, G, 0.1), "from 1 on"),
    "too many": (nd.DeclarationError, lambda: nd.solve_linear(damped, G, 20), "operations deep"),
    "other shapes": (nd.ShapeError, lambda: nd.solve_linear(lambda x: x.T, G, 2), "is an n×m"),
}


@pytest.mark.parametrize(("kind", "write", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_system_is_refused(kind, write, told):
    with refuses(kind, told):
        write()
