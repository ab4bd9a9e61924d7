"""Rules over several parameters as optimizers: tuples, neighbours, refusals, checkpoints."""

import copy

import pytest
import torch
from torch import nn

import normdsl as nd

a = nd.algorithms


@nd.optimizer
def alternating(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
    """Each step from what both were: B must not see the new A."""
    return A.W - lr * (B.W.T @ B.W) @ A.G, B.W - lr * B.G @ (A.W @ A.W.T)


@nd.optimizer
def anchored(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
    """A state of B that starts from A."""
    start = nd.fix(lambda s: s, A.W @ A.W.T)
    return A.W - lr * A.G, B.W - lr * B.G @ start


@nd.optimizer
def coin(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
    """One of the factors steps, by a coin that both see."""
    heads = nd.where(nd.normal_like(nd.t) > 0, 1.0, 0.0)
    return A.W - lr * heads * A.G, B.W - lr * (1 - heads) * B.G


@nd.optimizer
def gained(W: nd.Matrix("m", "d"), gain: nd.Matrix("d"), lr=0.1):
    return W.W - lr * W.G * gain.W.T, gain.W - lr * nd.sum(W.G * W.W, over="rows").T


def pairs(count, seed=0, dtype=torch.float64, m=4, r=2, n=5):
    rng = torch.Generator().manual_seed(seed)
    made = [
        nn.Parameter(torch.randn(*shape, generator=rng, dtype=dtype))
        for _ in range(count)
        for shape in ((r, n), (m, r))
    ]
    for p in made:
        p.grad = torch.randn(p.shape, generator=rng, dtype=dtype)
    return made


def test_every_parameter_steps_from_what_all_of_them_were():
    params = pairs(3)
    old = [p.detach().clone() for p in params]
    alternating(params, lr=0.1).step()
    for k in range(0, 6, 2):
        (x, y), (gx, gy) = old[k : k + 2], (params[k].grad, params[k + 1].grad)
        torch.testing.assert_close(params[k].detach(), x - 0.1 * (y.T @ y) @ gx)
        torch.testing.assert_close(params[k + 1].detach(), y - 0.1 * gy @ (x @ x.T))


def test_pairs_of_one_shape_step_as_one_batch_each():
    opt = alternating(pairs(5), lr=0.1)
    opt.step()
    assert len(opt.explain().runs) == 2
    assert "5 parameters step as one batch, 5 × 2 × 5" in str(opt.explain())


@pytest.mark.parametrize("form", ["list", "tuples", "named"])
def test_tuples_are_given_in_any_form(form):
    p = pairs(2)
    given = {
        "list": p,
        "tuples": [(p[0], p[1]), (p[2], p[3])],
        "named": [("x", (p[0], p[1])), ("y", (p[2], p[3]))],
    }[form]
    opt = alternating(given, lr=0.1)
    assert all(x is y for x, y in zip(opt.param_groups[0]["params"], p, strict=True))
    names = opt.param_groups[0].get("param_names")
    assert names == (["x.A", "x.B", "y.A", "y.B"] if form == "named" else None)


def test_a_column_may_be_a_vector():
    weight, gain = (nn.Parameter(torch.randn(*s, dtype=torch.float64)) for s in ((3, 4), (4,)))
    for p in (weight, gain):
        p.grad = torch.randn_like(p)
    old = [p.detach().clone() for p in (weight, gain)]
    gained([(weight, gain)], lr=0.1).step()
    torch.testing.assert_close(weight.detach(), old[0] - 0.1 * weight.grad * old[1])
    torch.testing.assert_close(gain.detach(), old[1] - 0.1 * (weight.grad * old[0]).sum(0))


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        (lambda p: p[:3], nd.HyperparameterError, "in tuples (A, B)"),
        (lambda p: [p[1], p[0]], nd.GradientError, "A r×n, B m×r"),
        (lambda p: [nn.Parameter(torch.ones(2, 3, 4)), p[1]], nd.GradientError, "does not fit"),
    ],
)
def test_what_makes_no_tuples_is_refused(given, error, why):
    with pytest.raises(error) as caught:
        alternating(given(pairs(2)), lr=0.1)
    assert why in str(caught.value)
    assert "  try: " in str(caught.value)


def test_a_tuple_steps_if_all_its_parameters_have_a_gradient():
    params = pairs(2)
    params[1].grad = None
    old = [p.detach().clone() for p in params]
    alternating(params, lr=0.1).step()
    moved = [not torch.equal(p.detach(), x) for p, x in zip(params, old, strict=True)]
    assert moved == [False, False, True, True]


def test_a_gradient_that_is_not_finite_changes_nothing_of_a_tuple():
    params = pairs(2)
    params[1].grad[0, 0] = torch.nan
    old = [p.detach().clone() for p in params]
    opt = a.lora_muon(params, lr=0.1)
    with pytest.raises(nd.GradientError):
        opt.step()
    assert all(torch.equal(p.detach(), x) for p, x in zip(params, old, strict=True))
    opt = a.lora_muon(params, lr=0.1, nonfinite="skip")
    opt.step()
    moved = [not torch.equal(p.detach(), x) for p, x in zip(params, old, strict=True)]
    assert moved[:2] == [False, False] or not moved[1]


def test_maximize_ascends_in_all_that_is_read():
    one, other = pairs(2), pairs(2)
    for p in other:
        p.grad.neg_()
    a.lora_muon(one, lr=0.1).step()
    a.lora_muon(other, lr=0.1, maximize=True).step()
    for x, y in zip(one, other, strict=True):
        torch.testing.assert_close(x, y)


def test_a_state_may_start_from_another_parameter():
    params = pairs(1)
    old = [p.detach().clone() for p in params]
    opt = anchored(params, lr=0.1)
    for _ in range(2):
        opt.step()
    metric = old[0] @ old[0].T
    torch.testing.assert_close(params[1].detach(), old[1] - 0.2 * params[1].grad @ metric)


def test_random_numbers_are_those_of_the_tuple():
    params = pairs(8)
    old = [p.detach().clone() for p in params]
    coin(params, lr=0.1, seed=3).step()
    moved = [not torch.equal(p.detach(), x) for p, x in zip(params, old, strict=True)]
    assert all(moved[k] != moved[k + 1] for k in range(0, 16, 2))
    assert len({*moved[::2]}) == 2


def test_a_checkpoint_goes_on_bit_by_bit():
    params = pairs(2)
    opt = a.lora_rite(params, lr=0.05)
    opt.step()
    saved = copy.deepcopy(opt.state_dict())
    again = [nn.Parameter(p.detach().clone()) for p in params]
    other = a.lora_rite(again, lr=0.05)
    other.load_state_dict(saved)
    for x, y in zip(params, again, strict=True):
        y.grad = x.grad.clone()
    opt.step()
    other.step()
    assert all(torch.equal(x, y) for x, y in zip(params, again, strict=True))
    opt.init_state()


def test_the_pure_form_is_the_optimizer():
    params = pairs(3)
    tree = {"A": [p.detach().clone() for p in params[::2]]}
    tree["B"] = [p.detach().clone() for p in params[1::2]]
    grads = {"A": [p.grad for p in params[::2]], "B": [p.grad for p in params[1::2]]}
    pure = nd.functional(a.lora_rite)
    state = pure.init(tree)
    opt = a.lora_rite(params)
    for _ in range(3):
        tree, state = pure.update(grads, state, tree)
        opt.step()
    for name, own in (("A", params[::2]), ("B", params[1::2])):
        for x, y in zip(tree[name], own, strict=True):
            torch.testing.assert_close(x, y.detach(), rtol=1e-10, atol=1e-12)
    with pytest.raises(nd.GradientError, match="trees of one structure"):
        pure.update(grads["A"], state, tree)


def test_the_pure_form_is_differentiable():
    w = {"A": torch.randn(2, 5, dtype=torch.float64), "B": torch.randn(4, 2, dtype=torch.float64)}
    pure = nd.functional(alternating)

    def after(lr):
        new, _ = pure.update(w, pure.init(w, lr=lr), w, lr=lr)
        return (new["B"] @ new["A"]).sum()

    lr = torch.tensor(0.1, dtype=torch.float64)
    slope = torch.func.grad(after)(lr)
    torch.testing.assert_close(slope, (after(lr + 1e-6) - after(lr - 1e-6)) / 2e-6)


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (lambda: a.scaled_gd.part(0, m=4)(pairs(1)), "reads other parameters"),
        (lambda: nd.functional(a.scaled_gd.part(0, m=4)), "reads other parameters"),
        (lambda: nd.functional(a.lora_muon, nd.Schedule(refresh=2)), "dealt to parameters"),
        (lambda: nd.schedule_error(a.lora_muon, nd.exact, [torch.eye(2)]), "over several"),
    ],
)
def test_what_parts_and_pure_forms_refuse(ask, why):
    with pytest.raises(nd.NormdslError) as caught:
        ask()
    assert why in str(caught.value)
