"""The pure form: trees, torch.func transforms, differentiation, refusals."""

from typing import NamedTuple

import pytest
import torch
from moments import Given, loss_of, moments, objective_of, take_step
from properties import assert_four_parts
from taking_turns import in_turn
from torch.utils import _pytree as pytree

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import (
    adamw,
    kfac,
    lion,
    muon,
    polyak_muadam_sania,
    sgd,
    shampoo,
    signum,
    soap,
)
from normdsl.compiler.batches import across_layers
from normdsl.compiler.layouts import stepper as batch
from normdsl.compiler.lowering import refresh
from normdsl.declarations import rule
from normdsl.expressions import traversal


def tree(seed=0):
    g = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 4), "b": [(4, 2), (2, 3)]}
    return {
        "a": torch.randn(shapes["a"], generator=g).double(),
        "b": [torch.randn(s, generator=g).double() for s in shapes["b"]],
    }


@pytest.mark.parametrize("rule", in_turn(0).values(), ids=lambda r: r.name)
def test_it_takes_the_steps_of_the_optimizer_and_changes_nothing_in_place(rule):
    params, rule_ = tree(), nd.functional(rule)
    state = rule_.init(params)
    leaves = [params["a"], *params["b"]]
    twins = [torch.nn.Parameter(p.clone()) for p in leaves]
    given = Given()
    named = list(zip(("a", "b.0", "b.1"), twins, strict=False))  # random numbers go by names
    opt = rule(named, **({"capture": given} if rule.moments else {}))
    for number in range(3):
        grads = tree(number + 1)
        before = [p.clone() for p in leaves]
        seen = [moments(rule, p.shape, number) for p in leaves]
        given.values = dict(zip(twins, seen, strict=True))
        trees = {name: {"a": seen[0][name], "b": [s[name] for s in seen[1:]]}
                 for name in rule.moments}  # fmt: skip
        asked = objective_of(rule, grads, params)
        params, state = rule_.update(grads, state, params, **trees, **loss_of(rule), **asked)
        assert all(torch.equal(x, y) for x, y in zip(leaves, before, strict=True))
        leaves = [params["a"], *params["b"]]
        for t, g in zip(twins, [grads["a"], *grads["b"]], strict=True):
            t.grad = g
        take_step(opt, rule)
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


# Trees of every kind


class Layer(NamedTuple):
    weight: torch.Tensor
    bias: torch.Tensor | None


SHAPES = ((3, 2), (3,), (), (0, 2), (0,), (2, 3, 2), (1,), (2, 1, 2, 2))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rule", [adamw, lion, signum], ids=lambda r: r.name)
def test_a_tensor_of_any_number_of_axes_steps_as_in_the_optimizer(rule, shape):
    pure, p = nd.functional(rule), torch.nn.Parameter(torch.ones(shape))
    w, state, opt = p.detach().clone(), pure.init(p.detach()), rule([p], lr=0.1)
    for step in range(3):
        p.grad = torch.full(shape, float(step + 1))
        w, state = pure.update(p.grad, state, w, lr=0.1)
        opt.step()
    torch.testing.assert_close(w, p.detach())
    assert all(state[name].shape == torch.Size(shape) for name in pure._names)


def test_a_tree_of_named_tuples_lists_and_none():
    pure = nd.functional(adamw)
    tree = {
        "a": [Layer(torch.ones(2, 3), None), None],
        "b": (Layer(torch.ones(2), torch.ones(())),),
    }
    grads = pytree.tree_map(lambda x: None if x is None else 2 * x, tree)
    state = pure.init(tree)
    new, after = pure.update(grads, state, tree, lr=0.1)
    assert isinstance(new["a"][0], Layer)
    assert new["a"][0].bias is None
    assert new["a"][1] is None
    assert after[pure._names[0]]["a"][0].bias is None
    for x in (new["a"][0].weight, new["b"][0].weight, new["b"][0].bias):
        alone, _ = pure.update(2 * torch.ones(x.shape), pure.init(torch.ones(x.shape)),
                               torch.ones(x.shape), lr=0.1)  # fmt: skip
        torch.testing.assert_close(x, alone)


def test_a_tensor_without_a_gradient_keeps_its_value_and_its_state():
    pure, w = nd.functional(adamw), {"a": torch.ones(2), "b": torch.ones(2)}
    _, state = pure.update(w, pure.init(w), w)
    new, after = pure.update({"a": w["a"], "b": None}, state, w)
    assert new["b"] is w["b"]
    assert torch.equal(after[pure._names[1]]["b"], state[pure._names[1]]["b"])
    assert not torch.equal(new["a"], w["a"])


def test_a_tree_of_none_alone_passes():
    pure = nd.functional(adamw)
    assert pure.update([None], pure.init([None]), [None])[0] == [None]
    assert pure.update([], pure.init([]), [])[0] == []


REFUSED = {
    "a number among the parameters": ({"a": 1.0}, {"a": 1.0}, "a float"),
    "a number among the gradients": ({"a": torch.ones(2)}, {"a": 1.0}, "a float"),
    "a gradient of nothing": ({"a": None}, {"a": torch.ones(2)}, "parameter is None"),
    "integers": ({"a": torch.ones(2, dtype=torch.int64)}, {"a": torch.ones(2)}, "int64"),
    "a gradient of integers": ({"a": torch.ones(2)}, {"a": torch.ones(2).long()}, "int64"),
    "a complex gradient": ({"a": torch.ones(2)}, {"a": torch.ones(2) * 1j}, "complex"),
}


@pytest.mark.parametrize(("params", "grads", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_other_leaves_are_refused_in_our_words(params, grads, says):
    pure = nd.functional(adamw)
    state = pure.init({"a": torch.zeros(2)})
    with pytest.raises(nd.GradientError, match=says) as told:
        pure.update(grads, state, params)
    assert_four_parts(told.value)


@pytest.mark.parametrize("start", [1.0, torch.ones(2, dtype=torch.uint8)], ids=str)
def test_a_start_that_is_no_tensor_of_real_numbers_is_refused(start):
    with pytest.raises(nd.GradientError):
        nd.functional(adamw).init({"a": start})


# Compiled, and under the transforms of torch.func


def whole(rule):
    """Return what an update takes: gradients, a state, parameters, and all else."""
    w = {"a": torch.randn(3, 2), "b": [torch.randn(3, 2), torch.randn(4, 3)]}
    if not rule_knows_matrices(rule):
        w |= {
            "bias": torch.randn(3),
            "one": torch.randn(()),
            "none": None,
            "empty": torch.ones(0, 2),
        }
    g = pytree.tree_map(lambda x: None if x is None else torch.randn_like(x), w)
    seen = [moments(rule, p.shape, 0) for p in (w["a"], *w["b"])]
    trees = {k: {"a": seen[0][k].float(), "b": [s[k].float() for s in seen[1:]]}
             for k in rule.moments}  # fmt: skip
    told = {**trees, **loss_of(rule), **objective_of(rule, g, w)}
    return (g, nd.functional(rule).init(w), w), told


def rule_knows_matrices(rule):
    return rule.name not in ("adamw", "lion")


@pytest.mark.parametrize(
    "rule", [adamw, muon, soap, shampoo, kfac, polyak_muadam_sania], ids=lambda r: r.name
)
def test_an_update_compiles_to_one_graph(rule):
    torch.compiler.reset()
    given, told = whole(rule)
    update = nd.functional(rule).update
    expected = update(*given, **told)
    compiled = torch.compile(lambda *x: update(*x, **told), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*given), expected)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_an_update_compiles_with_every_backend_and_takes_rates_as_tensors(backend):
    torch.compiler.reset()
    given, _ = whole(adamw)
    update = nd.functional(adamw).update
    compiled = torch.compile(update, backend=backend, fullgraph=True)
    for rate in (torch.tensor(0.1), torch.tensor(0.2)):
        torch.testing.assert_close(compiled(*given, lr=rate), update(*given, lr=rate))


def test_a_compiled_training_loop_of_a_model():
    torch.compiler.reset()
    model, pure = torch.nn.Linear(3, 2), nd.functional(adamw)
    params = {k: p.detach() for k, p in model.named_parameters()}
    x = torch.randn(5, 3)

    def step(params, state):
        def loss(params):
            return torch.func.functional_call(model, params, (x,)).square().mean()

        return pure.update(torch.func.grad(loss)(params), state, params, lr=0.1)

    eager = compiled = (params, pure.init(params))
    fast = torch.compile(step, backend="eager", fullgraph=True)
    for _ in range(3):
        eager, compiled = step(*eager), fast(*compiled)
    torch.testing.assert_close(compiled, eager)


def test_tangents_pass_through_an_update_of_biases_and_scalars():
    pure = nd.functional(adamw)
    w = {"b": torch.randn(3).double(), "s": torch.randn(()).double(), "n": None}

    def after(g):
        return pytree.tree_leaves(pure.update(g, pure.init(w), w, lr=0.1)[0])[:2]

    given = {"b": torch.randn(3).double(), "s": torch.randn(()).double(), "n": None}
    along = {"b": torch.randn(3).double(), "s": torch.randn(()).double()}
    step, eps = {k: given[k] + 1e-6 * along[k] for k in along} | {"n": None}, 1e-6
    _, slope = torch.func.jvp(lambda b, s: after({"b": b, "s": s, "n": None}),
                              (given["b"], given["s"]), (along["b"], along["s"]))  # fmt: skip
    for x, y, d in zip(after(step), after(given), slope, strict=True):
        torch.testing.assert_close((x - y) / eps, d, rtol=1e-4, atol=1e-6)


def test_an_ensemble_of_biases_steps_under_vmap():
    pure = nd.functional(adamw)
    starts = {"w": torch.randn(4, 3, 2), "b": torch.randn(4, 3), "s": torch.randn(4)}

    def after(w):
        return pure.update(pytree.tree_map(torch.sin, w), pure.init(w), w, lr=0.1)[0]

    together = torch.func.vmap(after)(starts)
    for i in range(4):
        alone = after({k: x[i] for k, x in starts.items()})
        torch.testing.assert_close({k: x[i] for k, x in together.items()}, alone)


def test_what_depends_on_the_rule_alone_is_found_once(monkeypatch):
    pure, w = nd.functional(adamw), torch.ones(2)
    state, walked = pure.init(w), []
    for module in (traversal, rule, batch, refresh, across_layers):
        for name in ("walk", "inside"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda *_: walked.append(1) or [])
    pure.update(w, state, w)
    assert not walked
