"""The torch.optim.Optimizer: contract, groups, refusals that leave everything as it was."""

import copy

import pytest
import torch
from moments import Given, capturing, moments, take_step
from taking_turns import SINGLE
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, muadam_sania, muon, one_sided_shampoo, sgd
from normdsl.cli.find import shipped

MATRIX_RULES = ("muon", "muadam", "muadam_sania", "one_sided_shampoo")


def parameters(*shapes, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, generator=g).to(dtype)) for s in shapes]


def with_grads(params, value=1.0):
    for p in params:
        p.grad = value * torch.ones_like(p)
    return params


def frozen_copy(opt, params):
    state = copy.deepcopy({k: dict(v) for k, v in opt.state.items()})
    return [p.detach().clone() for p in params], state


def assert_unchanged(opt, params, before):
    weights, state = before
    assert all(torch.equal(p, w) for p, w in zip(params, weights, strict=True))
    assert len(opt.state) == len(state)
    for entry, old in zip(opt.state.values(), state.values(), strict=True):
        assert entry.keys() == old.keys()
        assert all(torch.equal(entry[k], old[k]) for k in old)


#: Of degree −1, small gradients make long steps; distances over gradients are a rate by themselves.
RATES = {
    **{"muadam_sania": 1e-3, "affine_muon": 1e-3, "scion": 1e-4, "scion_unconstrained": 1e-4},
    **{"dog": 1.0, "layerwise_dog": 1.0},
}

#: Without a learning rate: a floor near the least loss, and a metric that is not 0 at first.
SUITED = {"alr_hb": {"floor": 0.9}, "adagrad_sqr": {"eps": 0.1}}


@pytest.mark.parametrize("rule", SINGLE.values(), ids=lambda r: r.name)
def test_it_is_a_torch_optimizer_that_trains(rule):
    torch.manual_seed(0)
    model = nn.Linear(4, 3, bias=False)
    x, y = torch.randn(32, 4), torch.randn(32, 3)
    lr = {"lr": RATES.get(rule.name, 0.01)} if "lr" in rule.defaults else SUITED.get(rule.name, {})
    opt = rule(model.parameters(), **lr, **capturing(rule, model))
    assert isinstance(opt, torch.optim.Optimizer)

    def closure():
        opt.zero_grad()
        loss = (nd.outputs(model(x)) - y).square().mean()
        loss.backward(create_graph=rule.asks)
        return loss

    first = float((model(x) - y).square().mean().detach())
    for _ in range(20):
        last = opt.step(closure, fresh=closure)
    assert float(last.detach()) < first


def test_groups_have_hyper_parameters_of_their_own():
    a, b = with_grads(parameters((2, 2), (2, 2)))
    start = a.detach().clone(), b.detach().clone()
    opt = sgd([{"params": [a], "lr": 0.1}, {"params": [b]}], lr=0.01)
    opt.step()
    torch.testing.assert_close(a.detach(), start[0] - 0.1)
    torch.testing.assert_close(b.detach(), start[1] - 0.01)


def test_a_scheduler_drives_the_learning_rate():
    (p,) = with_grads(parameters((2, 2)))
    start = p.detach().clone()
    opt = sgd([p], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(opt, 0.5)
    for _ in range(3):
        opt.step()
        scheduler.step()
    torch.testing.assert_close(p.detach(), start - 1.75)


def test_state_dict_resumes_bit_for_bit():
    ours, other = parameters((3, 4)), parameters((3, 4))
    opt = muadam_sania(ours)
    for k in range(3):
        with_grads(ours, k + 1.0)
        opt.step()
    resumed = muadam_sania(other)
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    with torch.no_grad():
        other[0].copy_(ours[0])
    for o, p in ((opt, ours), (resumed, other)):
        with_grads(p, 0.3)
        o.step()
    assert torch.equal(ours[0], other[0])


def test_late_gradients_start_their_own_clock():
    late, early = parameters((2, 3), (2, 3))
    alone = nn.Parameter(late.detach().clone())
    opt, own = adamw([late, early]), adamw([alone])
    with_grads([early])
    opt.step()
    with_grads([late, early, alone])
    opt.step()
    own.step()
    assert torch.equal(late, alone)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_low_precision_parameters_keep_their_dtype_and_their_gradient(dtype):
    (p,) = with_grads(parameters((4, 3), dtype=dtype))
    opt = muon([p], momentum=0.5)
    opt.step()
    assert p.dtype == dtype
    assert torch.equal(p.grad, torch.ones_like(p))
    kept = opt.state[p]["u_buffer"].dtype
    assert kept == (torch.float64 if dtype == torch.float64 else torch.float32)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_nonfinite_gradient_raises_and_changes_nothing(bad):
    params = with_grads(parameters((3, 4), (3, 4), (2, 2)))
    opt = muadam_sania(params)
    opt.step()
    before = frozen_copy(opt, params)
    params[1].grad[0, 0] = bad
    with pytest.raises(nd.GradientError, match="nothing was changed") as caught:
        opt.step()
    assert_four_parts(caught.value)
    assert_unchanged(opt, params, before)


def test_the_first_step_too_leaves_no_trace_when_refused():
    params = with_grads(parameters((3, 4)), float("nan"))
    opt = muadam_sania(params)
    before = frozen_copy(opt, params)
    with pytest.raises(nd.GradientError):
        opt.step()
    assert_unchanged(opt, params, before)


def test_skip_leaves_the_bad_parameter_alone_and_steps_the_others():
    params = with_grads(parameters((3, 4), (3, 4)))
    opt = adamw(params, nonfinite="skip")
    opt.step()
    weights, state = frozen_copy(opt, params)
    params[0].grad[0, 0] = float("nan")
    opt.step()
    assert torch.equal(params[0], weights[0])
    for k, v in state[params[0]].items() if params[0] in state else []:
        assert torch.equal(opt.state[params[0]][k], v)
    assert not torch.equal(params[1], weights[1])
    assert opt.state[params[0]]["step"] == 1
    assert opt.state[params[1]]["step"] == 2


#: What is left of weights that shrink by themselves, and rules that join two equal sequences.
#: Where noise is declared, there is none.
KEPT = {"scion": 1 - 2**-12, "trust_region_muon": 1 - 2**-12}
KEPT |= {"frank_wolfe": 0, "jaguar_frank_wolfe": 0}
ROUNDED = ("madgrad", "accelerated_sgd", "schedule_free_sgd", "schedule_free_adamw")
#: Where weights are multiplied by a projection on all there is, to rounding.
PROJECTED = ("oplora", "svd_lora")


def test_a_zero_gradient_gives_a_zero_step_not_nan():
    for rule in SINGLE.values():
        start = parameters((3, 4))
        params = with_grads(parameters((3, 4)), 0.0)
        extra = {h.name: 0.0 for h in rule.hyper if h.name == "eps" and h.domain.contains(0)}
        decay = {x: 0.0 for x in ("weight_decay", "noise") if x in rule.defaults}
        given = Given()
        given.values = {params[0]: moments(rule, (3, 4))}
        capture = {"capture": given} if rule.moments else {}
        opt = rule(params, **extra, **decay, **capture)
        take_step(opt, rule)
        shrunk = start[0] * KEPT.get(rule.name, 1)
        exact = {"rtol": 3e-7 if rule.name in ROUNDED else 0, "atol": 0}
        exact = {"rtol": 0, "atol": 2e-6} if rule.name in PROJECTED else exact
        torch.testing.assert_close(params[0].detach(), shrunk.detach(), **exact)


def assert_four_parts(error):
    told = str(error)
    assert "  why: " in told
    assert "  try: " in told


@pytest.mark.parametrize("name", MATRIX_RULES)
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (2, 3, 1, 1)])
def test_matrix_rules_refuse_other_shapes(name, shape):
    with pytest.raises(nd.GradientError, match=r"ax[ei]s, not 2") as caught:
        shipped()[name](parameters(shape))
    assert_four_parts(caught.value)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_entrywise_rules_take_any_shape(shape):
    ours, theirs = with_grads(parameters(shape)), with_grads(parameters(shape))
    adamw(ours, lr=0.1).step()
    torch.optim.AdamW(theirs, lr=0.1).step()
    torch.testing.assert_close(ours[0], theirs[0])


REFUSALS = {
    "unknown hyper-parameter": lambda p: adamw(p, learning_rate=0.1),
    "negative rate": lambda p: adamw(p, lr=-1.0),
    "rate of an average above 1": lambda p: adamw(p, beta1=1.5),
    "not a number": lambda p: adamw(p, lr="fast"),
    "vector hyper-parameter": lambda p: adamw(p, lr=torch.ones(2)),
    "unknown group key": lambda p: adamw([{"params": p, "learning_rate": 0.1}]),
    "bad value in a group": lambda p: adamw([{"params": p, "lr": -0.1}]),
    "bad policy": lambda p: adamw(p, nonfinite="ignore"),
    "numbers of 8 bits": lambda p: adamw([nn.Parameter(torch.ones(2).to(torch.float8_e5m2))]),
    "complex matrices": lambda p: muon(
        [torch.ones(2, 2, dtype=torch.complex64, requires_grad=True)]
    ),
}


@pytest.mark.parametrize("make", REFUSALS.values(), ids=REFUSALS.keys())
def test_bad_options_are_refused(make):
    with pytest.raises(nd.NormdslError) as caught:
        make(parameters((2, 2)))
    assert_four_parts(caught.value)


def test_a_group_key_that_appears_later_is_refused_too():
    params = with_grads(parameters((2, 2)))
    opt = adamw(params)
    before = frozen_copy(opt, params)
    opt.param_groups[0]["lrate"] = 1.0
    with pytest.raises(nd.HyperparameterError, match="lrate"):
        opt.step()
    assert_unchanged(opt, params, before)


def test_sparse_gradients_are_refused():
    embedding = nn.Embedding(5, 2, sparse=True)
    opt = sgd(embedding.parameters())
    embedding(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(nd.GradientError, match="layout"):
        opt.step()


def test_a_rule_that_reads_the_loss_asks_for_it():
    @nd.optimizer
    def polyak():
        return W - nd.loss / nd.inner(G, G) * G

    params = with_grads(parameters((2, 2)))
    opt = polyak(params)
    before = frozen_copy(opt, params)
    with pytest.raises(nd.GradientError, match="reads the value of the loss"):
        opt.step()
    assert_unchanged(opt, params, before)
    opt.step(loss=4.0)
    torch.testing.assert_close(params[0].detach(), before[0][0] - 1)


def test_a_missing_value_without_default_is_named():
    @nd.optimizer
    def needs(lr: nd.Positive):
        return W - lr * G

    with pytest.raises(nd.HyperparameterError, match="no default"):
        needs(parameters((2, 2)))
    needs(parameters((2, 2)), lr=0.1)


def test_an_overflow_inside_the_step_is_no_traceback_from_torch():
    params = with_grads(parameters((3, 3)), 1e30)
    opt = one_sided_shampoo(params)
    before = frozen_copy(opt, params)
    with pytest.raises(nd.GradientError):
        opt.step()
    assert_unchanged(opt, params, before)


def test_names_of_the_author_never_meet_those_of_the_runtime():
    @nd.optimizer
    def clash(lr=0.1, beta=0.5, step_old=0.1, a_old=0.0):
        step = nd.ema(G, beta)
        t = nd.ema(step, beta)
        a = nd.accumulate(G)
        return W - lr * t - step_old * step - a_old * a

    params = parameters((2, 2), dtype=torch.float64)
    opt, pure = clash(params), nd.functional(clash)
    w = params[0].detach().clone()
    state, expected, first, second = pure.init(w), w.clone(), 0.0, 0.0
    for _ in range(3):
        with_grads(params)
        opt.step()
        w, state = pure.update(torch.ones_like(w), state, w)
        first = 0.5 * first + 0.5
        second = 0.5 * second + 0.5 * first
        expected = expected - 0.1 * second - 0.1 * first
    torch.testing.assert_close(params[0].detach(), expected)
    torch.testing.assert_close(w, expected)
    assert opt.state[params[0]]["step"] == state["t"] == 3


class Reads(TorchDispatchMode):
    """Counts values that are read on the host."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("rule", [adamw, sgd], ids=lambda r: r.name)
def test_skipping_reads_no_value_on_the_host(rule):
    """As `nonfinite="raise"` must: before anything is written, and after."""
    read = []
    for nonfinite in ("skip", "raise"):
        p = nn.Parameter(torch.ones(4, 3))
        p.grad = torch.ones(4, 3)
        opt = rule([p], nonfinite=nonfinite)
        with Reads() as reads:
            opt.step()
            opt.step()
        read.append(reads.count)
    assert read == [0, 4]
