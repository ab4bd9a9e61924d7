"""The pure form: trees, torch.func transforms, differentiation, refusals."""

import pytest
import torch
from moments import Given, loss_of, moments

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, muon, sgd
from normdsl.cli.find import shipped


def tree(seed=0):
    g = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 4), "b": [(4, 2), (2, 3)]}
    return {
        "a": torch.randn(shapes["a"], generator=g).double(),
        "b": [torch.randn(s, generator=g).double() for s in shapes["b"]],
    }


@pytest.mark.parametrize("rule", shipped().values(), ids=lambda r: r.name)
def test_it_takes_the_steps_of_the_optimizer_and_changes_nothing_in_place(rule):
    params, rule_ = tree(), nd.functional(rule)
    state = rule_.init(params)
    leaves = [params["a"], *params["b"]]
    twins = [torch.nn.Parameter(p.clone()) for p in leaves]
    given = Given()
    opt = rule(twins, **({"capture": given} if rule.moments else {}))
    for step in range(3):
        grads = tree(step + 1)
        before = [p.clone() for p in leaves]
        seen = [moments(rule, p.shape, step) for p in leaves]
        given.values = dict(zip(twins, seen, strict=True))
        trees = {name: {"a": seen[0][name], "b": [s[name] for s in seen[1:]]}
                 for name in rule.moments}  # fmt: skip
        params, state = rule_.update(grads, state, params, **trees, **loss_of(rule))
        assert all(torch.equal(x, y) for x, y in zip(leaves, before, strict=True))
        leaves = [params["a"], *params["b"]]
        for t, g in zip(twins, [grads["a"], *grads["b"]], strict=True):
            t.grad = g
        opt.step(**loss_of(rule))
        for p, t in zip(leaves, twins, strict=True):
            torch.testing.assert_close(p, t.detach())


def test_the_learning_rate_is_differentiable():
    rule = nd.functional(sgd)
    w = torch.ones(2, 2, dtype=torch.float64)

    def after(lr):
        new, _ = rule.update(2 * w, rule.init(w), w, lr=lr)
        return new.sum()

    slope = torch.func.grad(after)(torch.tensor(0.1, dtype=torch.float64))
    torch.testing.assert_close(slope, torch.tensor(-8.0, dtype=torch.float64))


def test_it_works_under_vmap_and_jit_style_grad_of_the_start():
    rule = nd.functional(adamw)
    starts = torch.randn(5, 3, 2, dtype=torch.float64)

    def train(w):
        state = rule.init(w)
        for _ in range(3):
            w, state = rule.update(2 * w, state, w)
        return w

    together = torch.func.vmap(train)(starts)
    torch.testing.assert_close(together, torch.stack([train(w) for w in starts]))
    assert torch.isfinite(torch.func.grad(lambda w: train(w).square().sum())(starts[0])).all()


def test_trees_must_match():
    rule, params = nd.functional(sgd), tree()
    with pytest.raises(nd.GradientError, match="tree"):
        rule.update({"a": params["a"]}, rule.init(params), params)


def test_a_rule_that_reads_the_loss_asks_for_it():
    @nd.optimizer
    def polyak():
        return W - nd.loss / nd.inner(G, G) * G

    rule, w = nd.functional(polyak), torch.ones(2, 2)
    with pytest.raises(nd.GradientError, match="reads the value of the loss"):
        rule.update(w, rule.init(w), w)
    new, _ = rule.update(2 * w, rule.init(w), w, loss=4.0)
    torch.testing.assert_close(new, w / 2)


def test_unknown_hyper_parameters_and_vectors_are_refused():
    rule, w = nd.functional(muon), torch.ones(3)
    with pytest.raises(nd.HyperparameterError, match="momentum"):
        rule.init(torch.ones(2, 2), beta=0.5)
    with pytest.raises(nd.GradientError, match="1 axis, not 2"):
        rule.init(w)


def test_derivatives_pass_through_the_loss():
    @nd.optimizer
    def polyak(lr=1.0):
        return W - lr * nd.loss * nd.reciprocal(nd.inner(G, G)) * G

    pure = nd.functional(polyak)
    w, grad = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    loss = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def after(loss):
        return pure.update(grad, pure.init(w), w, loss=loss)[0]

    assert torch.autograd.gradcheck(after, loss)
