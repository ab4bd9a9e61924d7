"""Products with the Gauss-Newton matrix, on graphs and of functions, against whole Jacobians."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.evaluations import gauss_newton
from normdsl.compiler.evaluations.outputs import noted

pytestmark = pytest.mark.filterwarnings("ignore:Using backward.* with create_graph:UserWarning")

draw = torch.Generator().manual_seed(0)
X = torch.randn(4, 3, generator=draw, dtype=torch.float64)
AT = tuple(torch.randn(s, generator=draw, dtype=torch.float64) for s in ((2, 3), (1, 2)))
ALONG = tuple(torch.randn(s, generator=draw, dtype=torch.float64) for s in ((2, 3), (1, 2)))


def put_out(params):
    """Outputs of two layers, and a second output that is linear."""
    hidden = torch.tanh(X @ params[0].mT)
    return hidden @ params[1].mT, X @ params[0].mT


def by_outputs(z):
    return z[0].exp().sum() + (z[1] ** 4).sum() / 9 + z[1].sum()


def loss(params):
    return by_outputs(tuple(map(nd.outputs, put_out(params))))


def wanted(at, along):
    """Jᵀ Q J V by the whole matrices."""
    shapes = [p.shape for p in at]

    def parts(w):
        pieces = w.split([s.numel() for s in shapes])
        return [x.reshape(s) for x, s in zip(pieces, shapes, strict=True)]

    def flat(w):
        return torch.cat([z.flatten() for z in put_out(parts(w))])

    def of(u):
        return by_outputs((u[:4], u[4:]))

    w, v = (torch.cat([x.flatten() for x in xs]) for xs in (at, along))
    J = torch.autograd.functional.jacobian(flat, w)
    return parts(J.T @ (torch.autograd.functional.hessian(of, flat(w)) @ (J @ v)))


def test_on_a_graph_and_of_a_function():
    params = [p.clone().requires_grad_() for p in AT]
    with noted() as marked:
        value = loss(params)
    for found in (
        gauss_newton.on_graph(value, marked, params, ALONG),
        gauss_newton.of_function(loss, AT, ALONG),
    ):
        torch.testing.assert_close(found, wanted(AT, ALONG))


def test_no_direction_is_zero():
    params = [p.clone().requires_grad_() for p in AT]
    with noted() as marked:
        value = loss(params)
    found = gauss_newton.on_graph(value, marked, params, [ALONG[0], None])
    torch.testing.assert_close(found, wanted(AT, (ALONG[0], 0 * ALONG[1])))


def test_outputs_that_the_loss_is_linear_in_bend_nothing():
    params = [p.clone().requires_grad_() for p in AT]
    with noted() as marked:
        value = nd.outputs(put_out(params)[0]).sum()
    assert not any(x.any() for x in gauss_newton.on_graph(value, marked, params, ALONG))


@nd.optimizer
def rule(lr=0.1):
    P = W - lr * G
    here, there = nd.gauss_newton_product(G), nd.gauss_newton_product(G, at=P)
    return W - lr * (here + nd.hessian_product(G) + there + nd.trace(nd.hessian(at=P)) * G)


def expected():
    """The step of the rule, by whole matrices."""
    g = torch.func.grad(loss)(AT)
    P = tuple(w - 0.1 * x for w, x in zip(AT, g, strict=True))
    _, curved = torch.func.jvp(lambda *w: torch.func.grad(loss)(w), AT, g)
    traces = []
    for k in range(2):
        own = torch.autograd.functional.hessian(lambda w, k=k: loss((*P[:k], w, *P[k + 1 :])), P[k])
        traces.append(own.reshape(P[k].numel(), -1).trace())
    parts = zip(AT, wanted(AT, g), curved, wanted(P, g), traces, g, strict=True)
    return [w - 0.1 * (a + h + b + trace * x) for w, a, h, b, trace, x in parts]


def test_a_step_asks_for_all_kinds_of_products():
    params = [nn.Parameter(p.clone()) for p in AT]
    opt = rule(params)

    def closure():
        opt.zero_grad()
        value = loss(params)
        value.backward(create_graph=True)
        return value

    opt.step(closure)
    torch.testing.assert_close([p.detach() for p in params], expected())


def test_pure_functions_ask_alike():
    pure = nd.functional(rule)
    params = dict(enumerate(AT))
    grads = dict(enumerate(torch.func.grad(loss)(AT)))
    new, _ = pure.update(grads, pure.init(params), params, objective=lambda p: loss((p[0], p[1])))
    torch.testing.assert_close([new[0], new[1]], expected())


@pytest.mark.parametrize(
    ("marks", "graph", "why"),
    [(False, True, "nothing says what the model puts out"), (True, False, "has no graph")],
)
def test_it_refuses_closures_that_do_not_say_enough(marks, graph, why):
    p = nn.Parameter(AT[0].clone())
    opt = nd.algorithms.gauss_newton_cg([p])

    def closure():
        opt.zero_grad()
        z = torch.tanh(X @ p.mT)
        value = (nd.outputs(z) if marks else z).square().sum()
        value.backward(create_graph=graph)
        return value

    with pytest.raises(nd.GradientError, match=why):
        opt.step(closure)
    assert torch.equal(p.detach(), AT[0])


def test_pure_functions_refuse_a_loss_without_outputs():
    pure = nd.functional(nd.algorithms.gauss_newton_cg)
    params = {"w": AT[0]}
    with pytest.raises(nd.GradientError, match="nothing says what the model puts out"):
        pure.update(params, pure.init(params), params, objective=lambda p: p["w"].square().sum())


def test_a_mark_is_the_tensor_itself():
    assert nd.outputs(X) is X
