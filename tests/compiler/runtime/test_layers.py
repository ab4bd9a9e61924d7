"""Steps that combine scalars of all layers: groups, dtypes, missing gradients, refusals."""

import pytest
import torch
from properties import random_matrix, refuses

import normdsl as nd
from normdsl import G, W

INF = float("inf")
TOTAL = nd.sum(nd.inner(G, G), over="layers")
ONES = nd.zeros_like(G) + 1


def rule(update):
    return nd.Declaration("shared", (), update)


def parameters(*grads, dtype=torch.float64):
    params = [torch.nn.Parameter(torch.zeros(g.shape, dtype=dtype)) for g in grads]
    for p, g in zip(params, grads, strict=True):
        p.grad = g.to(dtype, copy=True)
    return params


GRADS = [random_matrix(3, 4, 1), random_matrix(2, 2, 2), random_matrix(3, 4, 3)]
SQUARES = sum(float(g.square().sum()) for g in GRADS)


def read(params):
    return [p.detach().ravel()[0].item() for p in params]


def test_layers_of_all_groups_step_together():
    @nd.optimizer
    def weighted(lr=1.0):
        return W + nd.sum(lr * nd.inner(G, G), over="layers") * ONES

    params = parameters(*GRADS)
    opt = weighted([{"params": params[:1], "lr": 2.0}, {"params": params[1:]}])
    opt.step()
    expected = SQUARES + float(GRADS[0].square().sum())
    assert read(params) == pytest.approx([expected] * 3)


def test_norms_of_all_layers_are_averaged():
    """The state's own recursion, norms and all, is no part of the step that is emitted."""
    params = parameters(*GRADS)
    total = nd.sum(nd.frobenius.value(G) ** 2, over="layers")
    opt = rule(W + nd.ema(total, 0.5) * ONES)(params)
    for _ in range(2):
        for p, g in zip(params, GRADS, strict=True):
            p.grad = g.clone()
        opt.step()
    assert read(params) == pytest.approx([SQUARES * (0.5 + 0.75)] * 3)


def test_the_maximum_is_that_of_all_layers():
    params = parameters(*GRADS)
    rule(W + nd.max(nd.inner(G, G), over="layers") * ONES)(params).step()
    largest = max(float(g.square().sum()) for g in GRADS)
    assert read(params) == pytest.approx([largest] * 3)


def test_what_is_the_same_for_every_layer_counts_for_every_layer():
    """Two of the layers step as one batch, in which their size is one number."""
    params = parameters(*GRADS)
    rule(W + nd.sum(nd.rows * nd.cols, over="layers") * ONES + 1e-30 * G)(params).step()
    assert read(params) == [28.0] * 3
    params = parameters(*GRADS)
    rule(W + nd.sum(1, over="layers") * ONES + 1e-30 * G)(params).step()
    assert read(params) == [3.0] * 3
    params = parameters(*GRADS)
    rule(W + nd.max(nd.t, over="layers") * ONES + 1e-30 * G)(params).step()
    assert read(params) == [1.0] * 3


def test_dtypes_meet_in_the_widest():
    params = [
        *parameters(GRADS[0] * 0 + 1, dtype=torch.bfloat16),
        *parameters(GRADS[1] * 0 + 1e-12, dtype=torch.float64),
    ]
    update = W + (nd.sum(nd.max(nd.abs(G)), over="layers") - 1) * ONES
    rule(update)(params).step()
    assert params[0].dtype == torch.bfloat16
    assert read(params)[1] == pytest.approx(1e-12, rel=1e-3)


def test_a_parameter_without_gradient_is_no_layer():
    params = parameters(*GRADS)
    params[1].grad = None
    rule(W + TOTAL * ONES)(params).step()
    expected = SQUARES - float(GRADS[1].square().sum())
    assert read(params) == pytest.approx([expected, 0.0, expected])


def test_no_gradient_at_all_is_no_step():
    params = parameters(*GRADS)
    for p in params:
        p.grad = None
    opt = rule(W + TOTAL * ONES)(params)
    opt.step()
    assert read(params) == [0.0] * 3
    assert not opt.state


def test_states_are_combined_as_they_are_at_the_step():
    average = nd.accumulate(G)
    params = parameters(*GRADS)
    opt = rule(W + nd.sum(nd.inner(average, average), over="layers") * ONES)(params)
    opt.step()
    opt.step()
    assert read(params) == pytest.approx([5 * SQUARES] * 3)


def test_one_combined_scalar_may_depend_on_another():
    share = nd.inner(G, G) / TOTAL
    params = parameters(*GRADS)
    rule(W + nd.sum(share, over="layers") * ONES)(params).step()
    assert read(params) == pytest.approx([1.0] * 3)


def test_the_functional_form_takes_the_same_steps():
    norm = nd.over_layers(nd.rms_to_rms, nd.lp(2))
    declared = rule(W + norm.lmo(nd.ema(G, 0.9)))
    params, pure = parameters(*GRADS), nd.functional(declared)
    opt = declared(params)
    tree = {"a": torch.zeros(3, 4).double(), "b": [torch.zeros(2, 2).double()]}
    tree["b"].append(torch.zeros(3, 4).double())
    state = pure.init(tree)
    for _ in range(3):
        opt.step()
        tree, state = pure.update({"a": GRADS[0], "b": GRADS[1:]}, state, tree)
    for p, x in zip(params, [tree["a"], *tree["b"]], strict=True):
        torch.testing.assert_close(p.detach(), x)
    empty = pure.init({})
    assert pure.update({}, empty, {})[0] == {}


@pytest.mark.parametrize("bad", [float("nan"), INF])
def test_skipping_a_layer_leaves_it_out_of_what_the_others_share(bad):
    params = parameters(*GRADS)
    params[1].grad[0, 0] = bad
    rule(W + TOTAL * ONES)(params, nonfinite="skip").step()
    expected = SQUARES - float(GRADS[1].square().sum())
    assert read(params) == pytest.approx([expected, 0.0, expected])


@pytest.mark.parametrize("bad", [float("nan"), INF])
def test_a_refused_step_leaves_all_layers_as_they_were(bad):
    norm = nd.over_layers(nd.nuclear, nd.lp(1))
    params = parameters(*GRADS)
    opt = rule(W - norm.sharp(nd.ema(G, 0.9)))(params)
    opt.step()
    before = [p.detach().clone() for p in params]
    states = [{k: v.clone() for k, v in opt.state[p].items()} for p in params]
    params[2].grad[1, 1] = bad
    with refuses(nd.GradientError, "nothing was changed"):
        opt.step()
    for p, old, state in zip(params, before, states, strict=True):
        assert torch.equal(p.detach(), old)
        assert all(torch.equal(opt.state[p][k], state[k]) for k in state)


def test_only_the_layer_with_the_largest_dual_moves():
    """It must find its own norm equal to the maximum, bit by bit."""
    for dtype in (torch.float32, torch.float64):
        grads = [random_matrix(7, 5, seed) for seed in range(30)]
        params = parameters(*grads, dtype=dtype)
        rule(W + nd.over_layers(nd.nuclear, nd.lp(1)).lmo(G))(params).step()
        moved = [k for k, p in enumerate(params) if p.detach().any()]
        largest = max(range(30), key=lambda k: torch.linalg.matrix_norm(grads[k], 2))
        assert moved == [largest]
        nuclear = torch.linalg.matrix_norm(params[largest].detach(), "nuc")
        assert float(nuclear) == pytest.approx(1, rel=1e-5)


@pytest.mark.slow
def test_surveys_are_compiled_with_the_step():
    norm = nd.over_layers(nd.frobenius, nd.lp(1))
    plain, fast = parameters(*GRADS), parameters(*GRADS)
    rule(W + norm.lmo(G))(plain).step()
    rule(W + norm.lmo(G))(fast, schedule=nd.Schedule(compile=True)).step()
    for p, q in zip(plain, fast, strict=True):
        torch.testing.assert_close(p.detach(), q.detach())
