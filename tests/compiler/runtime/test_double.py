"""No float64 on a device unless the schedule asks for it, and counts that stay exact."""

import pytest
import torch
from moments import Given, objective_of, take_step
from taking_turns import in_turn
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, muon, soap
from normdsl.cli.find import shipped
from normdsl.expressions.nodes import Source

RULES = in_turn(1).values()


class NoDouble(TorchDispatchMode):
    """Refuses float64 on a device, as MPS and NPUs do; "meta" stands for it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, torch.Tensor) and x.device.type == "meta":
                assert x.dtype is not torch.float64, func
        return out


def on_device(*shape, dtype=torch.float32):
    return torch.empty(shape, device="meta", dtype=dtype)


@nd.optimizer
def langevin(lr=0.1, beta: nd.Fraction = 0.9):
    m = nd.fix(lambda s: beta * s + G, nd.normal_like(G))
    decay = nd.maximum(1 - 1 / nd.t, beta**nd.t)
    return W - lr * decay * (m + nd.signs_like(G)) / nd.sqrt(1 - beta**nd.t)


def steps(rule, dtype=torch.float32, loss=None, **options):
    """Take steps on a device without float64; return the states."""
    params, given = [nn.Parameter(on_device(4, 4, dtype=dtype)) for _ in range(2)], Given()
    options |= {"capture": given} if rule.moments else {}
    loss = on_device() if loss is None else loss
    with NoDouble():
        opt = rule(params, **options)
        for _ in range(2):
            for p in params:
                p.grad = on_device(4, 4, dtype=dtype)
                given.values[p] = {name: on_device(4, 4) for name in rule.moments}
            if rule.asks:
                take_step(opt, rule)
            else:
                opt.step(loss=loss if rule.reads(Source.LOSS) else None)
    return [x for p in params for x in opt.state[p].values()]


@pytest.mark.parametrize("options", [{"nonfinite": "skip"}, {"capturable": True}], ids=str)
@pytest.mark.parametrize("rule", [*RULES, langevin], ids=lambda r: r.name)
def test_no_rule_steps_in_float64_on_a_device(rule, options):
    """Once: Every rule counted its steps there in float64, so that MPS and NPUs could run none."""
    for dtype in (torch.float32, torch.bfloat16):
        assert all(x.dtype is not torch.float64 for x in steps(rule, dtype, **options))


def test_neither_numbers_nor_losses_become_float64_on_a_device():
    polyak = shipped()["polyak_muadam_sania"]
    for loss in (1.5, 2, torch.tensor(2), on_device(dtype=torch.int64), on_device()):
        steps(polyak, loss=loss, nonfinite="skip")
    steps(adamw, nonfinite="skip", lr=torch.tensor(0.1), eps=on_device())
    single = nd.Schedule(dtype="float32", state={"L_buffer": "float32"})
    steps(soap, nonfinite="skip", schedule=single)


@pytest.mark.parametrize("rule", [*RULES, langevin], ids=lambda r: r.name)
def test_the_pure_form_has_no_float64_on_a_device(rule):
    pure, w = nd.functional(rule), on_device(4, 4)
    seen = dict.fromkeys(rule.moments, w) | ({"loss": 1.5} if rule.reads(Source.LOSS) else {})
    with NoDouble():
        state = pure.init(w)
        for _ in range(2):
            g = on_device(4, 4)
            w, state = pure.update(g, state, w, **seen, **objective_of(rule, g, w))
    assert w.dtype is torch.float32
    assert state["t"].dtype is torch.int64


def test_a_schedule_that_asks_for_it_gets_it():
    with pytest.raises(AssertionError):
        steps(muon, nonfinite="skip", schedule=nd.exact)


def train(rule, dtype, count, **options):
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(4, 4, generator=draw)
    p = nn.Parameter(start.to(dtype, copy=True))
    opt = rule([p], **options)
    for _ in range(count):
        p.grad = torch.randn(4, 4, generator=draw).to(dtype)
        opt.step()
    return p.detach().double() - start


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9, 0.999, 0.99999])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_bias_corrections_are_those_of_float64(beta, count):
    """In float32 itself 1 − 0.99999^t has three digits at t = 1."""
    for options in ({}, {"capturable": True}):
        settings = {"lr": 1.0, "beta1": beta, "beta2": beta, "weight_decay": 0.0, **options}
        narrow = train(adamw, torch.float32, count, **settings)
        wide = train(adamw, torch.float64, count, **settings)
        assert float((narrow - wide).norm() / wide.norm()) < 2e-6


def at(count, **options):
    """Return an optimizer of one parameter that has taken so many steps."""
    p = nn.Parameter(torch.ones(2, 2))
    opt = adamw([p], **options)
    opt.init_state()
    opt.state[p]["step"].fill_(count)
    p.grad = torch.ones(2, 2)
    return p, opt


@pytest.mark.parametrize("options", [{}, {"nonfinite": "skip"}, {"capturable": True}], ids=str)
def test_counts_beyond_those_of_float32_are_exact(options):
    p, opt = at(2**24, **options)
    opt.step()
    opt.step()
    assert int(opt.state[p]["step"]) == 2**24 + 2


@pytest.mark.parametrize(
    "kind", [torch.float64, torch.float32, torch.int64, torch.int32, int, float], ids=str
)
def test_counts_of_every_kind_are_loaded(kind):
    """Older states counted in float64, others' in float32."""
    _, opt = at(0)
    opt.step()
    saved = opt.state_dict()
    saved["state"][0]["step"] = (
        torch.tensor([12], dtype=kind) if isinstance(kind, torch.dtype) else kind(12)
    )
    q, twin = at(0)
    twin.load_state_dict(saved)
    step = twin.state[q]["step"]
    assert (step.dtype, step.shape, int(step)) == (torch.int64, (), 12)
    twin.step()
    assert int(twin.state[q]["step"]) == 13


@pytest.mark.parametrize("bad", [-1, 0.5, float("nan"), float("inf"), 1e300, 1j], ids=str)
def test_what_is_no_count_is_refused(bad):
    _, opt = at(1)
    saved = opt.state_dict()
    saved["state"][0]["step"] = torch.tensor(bad, dtype=None if bad == 1j else torch.float64)
    with pytest.raises(nd.SerializationError, match=r"not a count"):
        opt.load_state_dict(saved)


def test_a_count_that_others_wrote_as_a_float_goes_on():
    """As states that were put into the optimizer without loading them."""
    p, opt = at(1)
    opt.state[p]["step"] = torch.tensor(4.0)
    for _ in range(2):
        opt.step()
    assert float(opt.state[p]["step"]) == 6
