"""What the process says about precision: a step does not hear it, and finds it as it was."""

import contextlib

import attrs
import pytest
import torch
from moments import Given, loss_of, moments, take_step
from taking_turns import in_turn
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, affine_muon, muon, shampoo, soap
from normdsl.compiler.batches.ambient import _PRODUCTS, Plain, _said, as_scheduled
from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.witness import Experiment
from normdsl.compiler.verdicts.simulate import twins

RULES = in_turn(5).values()
MATRICES = (soap, shampoo, affine_muon, muon)
KEPT = [(b, op) for b in ("cuda", "mkldnn") for op in ("all", "matmul")]


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    # Torch's own test harness, once imported, freezes these flags for the whole process.
    flags = torch.backends.flags_frozen.__globals__
    monkeypatch.setitem(flags, "__allow_nonbracketed_mutation_flag", True)
    yield
    for backend in ("cuda", "mkldnn"):
        torch._C._set_fp32_precision_setter(backend, "all", "none")
        torch._C._set_fp32_precision_setter(backend, "matmul", "none")
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch._C._set_fp32_precision_setter("cuda", "matmul", "none")
    torch._C._set_fp32_precision_setter("mkldnn", "matmul", "none")


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


AMBIENT = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "double by default": lambda: default_dtype(torch.float64),
    "half by default": lambda: default_dtype(torch.float16),
    "another device by default": lambda: torch.device("meta"),
    "deterministic": deterministic,
}


def run(rule, ambient=contextlib.nullcontext, steps=3, **options):
    """Return the weights and states of an optimizer whose steps are taken in a setting."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=draw)

    params, given = [nn.Parameter(normal(4, 5)) for _ in range(2)], Given()
    told = {k: x.float() for k, x in moments(rule, (4, 5)).items()}
    options |= {"capture": given} if rule.moments else {}
    with ambient():
        opt = rule(params, **options)
    for _ in range(steps):
        for p in params:
            p.grad = normal(4, 5)
            given.values[p] = told
        with ambient():
            take_step(opt, rule) if rule.asks else opt.step(**dict.fromkeys(loss_of(rule), 1.5))
    states = [x for p in params for x in opt.state[p].values()]
    return [p.detach() for p in params] + states


def same(ours, theirs):
    return len(ours) == len(theirs) and all(
        x.dtype == y.dtype and x.device == y.device and torch.equal(x, y)
        for x, y in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_every_rule_steps_alike_whatever_the_process_is_set_to(rule):
    """Once: Inside autocast affine_muon did not move, SOAP was 8% off."""
    expected = run(rule)
    for name, ambient in AMBIENT.items():
        assert same(run(rule, ambient), expected), name


@nd.optimizer
def noisy(lr=0.1):
    start = nd.fix(lambda s: 0.9 * s + G, nd.normal_like(G))
    return W - lr * start - lr * nd.signs_like(G @ G.T) @ G


@nd.optimizer
def combined(lr=0.1):
    return W + lr * attrs.evolve(nd.max_of(nd.spectral, 2 * nd.max_entry), steps=50).lmo(G)


@nd.optimizer
def triangular(lr=0.1):
    return W - lr * nd.inverse(nd.cholesky(nd.ema(G @ G.T, 0.9) + nd.eye_like(G @ G.T))) @ G


QUICK = nd.Schedule(polar=nd.polar_express(5), root=nd.CoupledNewton(9), refresh=2)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (noisy, {}),
        (combined, {}),
        (triangular, {}),
        (muon, {"schedule": QUICK}),
        (shampoo, {"schedule": QUICK}),
        (soap, {"nonfinite": "skip"}),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_schedules_random_rules_and_combined_norms_step_alike(rule, options):
    expected = run(rule, **options)
    for name, ambient in AMBIENT.items():
        assert same(run(rule, ambient, **options), expected), name


class Seen(TorchDispatchMode):
    """Notes which precision products of float32 have at each operation."""

    def __init__(self):
        super().__init__()
        self.precisions = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "aten":  # else torch notes that a step begins
            self.note()
        return func(*args, **(kwargs or {}))

    def note(self):
        self.precisions.add(torch.get_float32_matmul_precision())
        self.precisions |= {torch._C._get_fp32_precision_getter(*x) for x in _PRODUCTS}
        self.precisions.add(torch.backends.cuda.matmul.allow_fp16_accumulation)


def legacy():
    torch.set_float32_matmul_precision("medium")


def tensor_float():
    torch.backends.cuda.matmul.allow_tf32 = True


def of_one_backend():
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"


def of_all():
    torch.backends.fp32_precision = "tf32"


def of_one_of_them():
    torch.backends.fp32_precision = "bf16"
    torch._C._set_fp32_precision_setter("cuda", "all", "tf32")


def mixed():
    legacy()
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.mkldnn.matmul.fp32_precision = "none"


def said():
    flags = torch.backends.cuda.matmul.allow_fp16_accumulation
    precisions = [_said(*x) for x in KEPT] + [torch.backends.fp32_precision]
    try:
        return flags, precisions, torch.get_float32_matmul_precision()
    except RuntimeError as error:  # so torch answers where both ways of setting it were mixed
        return flags, precisions, str(error)


@pytest.mark.parametrize(
    "choose", [legacy, tensor_float, of_one_backend, of_all, of_one_of_them, mixed]
)
def test_products_are_those_of_float32_and_the_settings_come_back(choose):
    choose()
    before, seen = said(), Seen()
    p = nn.Parameter(torch.ones(3, 3))
    p.grad = torch.eye(3)
    opt = soap([p])
    with seen:
        opt.step()
    assert seen.precisions == {"highest", "ieee", False}
    assert said() == before
    torch.backends.fp32_precision = "ieee"  # what inherits from it still does
    assert torch._C._get_fp32_precision_getter("mkldnn", "matmul") == (
        "ieee" if before[1][3] == "none" else before[1][3]
    )


def test_flags_of_half_precision_come_back():
    matmul = torch.backends.cuda.matmul
    names = ("allow_fp16_accumulation", "allow_bf16_reduced_precision_reduction")
    start = [getattr(matmul, name) for name in names]
    for name, value in zip(names, start, strict=True):
        setattr(matmul, name, not value)
    try:
        with Plain():
            assert [getattr(matmul, name) for name in names] == start
        assert [getattr(matmul, name) for name in names] == [not value for value in start]
    finally:
        for name, value in zip(names, start, strict=True):
            setattr(matmul, name, value)


def test_a_step_that_raises_restores_everything():
    legacy()
    p = nn.Parameter(torch.ones(2, 2))
    p.grad = torch.full((2, 2), torch.nan)
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(nd.GradientError, match="NaN"):
            adamw([p]).step()
        assert torch.is_autocast_enabled("cpu")
        assert (p @ p).dtype is torch.bfloat16
    assert torch.get_float32_matmul_precision() == "medium"


def test_the_closure_and_hooks_are_the_users_and_keep_their_settings():
    p, seen = nn.Parameter(torch.ones(2, 2)), []

    def closure():
        opt.zero_grad()
        product = p @ p
        seen.append(product.dtype)
        loss = product.float().sum()
        loss.backward()
        return loss

    opt = adamw([p])
    opt.register_step_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    opt.register_step_post_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.bfloat16):
        opt.step(closure)
    assert seen == [True, torch.bfloat16, True]


@pytest.mark.parametrize("layer", [nn.Linear(4, 3), nn.Conv2d(2, 3, 2, padding=1)], ids=str)
def test_captured_moments_are_sums_in_float32(layer):
    """Once: Recorded inside autocast, their products were those of bfloat16."""
    x = torch.randn(*((6, 4) if isinstance(layer, nn.Linear) else (6, 2, 5, 5)))

    def recorded(inside):
        with nd.capture(layer) as capture, torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
            slope = torch.ones_like(y)
            with contextlib.nullcontext() if inside else torch.autocast("cpu", enabled=False):
                y.backward(slope)
            return capture.moments(layer.weight)

    ours, theirs = recorded(True), recorded(False)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all(m.dtype is torch.float32 for m in ours.values())


@pytest.mark.parametrize("rule", MATRICES, ids=lambda r: r.name)
def test_the_pure_form_and_the_error_of_a_schedule_hear_nothing(rule):
    pure, w, g = nd.functional(rule), torch.eye(3), torch.arange(9.0).reshape(3, 3)
    expected = pure.update(g, pure.init(w), w)
    error = nd.schedule_error(rule, nd.Schedule(polar=nd.polar_express(5)), [g, g])
    for ambient in AMBIENT.values():
        with ambient():
            new, state = pure.update(g, pure.init(w), w)
            told = nd.schedule_error(rule, nd.Schedule(polar=nd.polar_express(5)), [g, g])
        assert torch.equal(new, expected[0])
        assert all(torch.equal(x, expected[1][name]) for name, x in state.items())
        assert told == error


def test_a_traced_function_is_one_graph_and_leaves_autocast():
    product = as_scheduled(lambda x: x @ x)
    traced = torch.compile(product, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 3)
    with torch.autocast("cpu", torch.bfloat16), torch.autocast("cuda", torch.bfloat16):
        assert torch.equal(traced(x), product(x))
        assert traced(x).dtype is torch.float32
    assert torch.equal(traced(x), product(x))


def test_experiments_of_our_own_are_those_of_a_fresh_process():
    experiment = Experiment(adamw, groups.scale, {**adamw.defaults}, steps=3)
    expected, audit = twins(experiment), nd.audit(torch.optim.SGD, steps=2, seeds=1)
    legacy()
    with (
        default_dtype(torch.float64),
        deterministic(),
        torch.device("meta"),
        torch.autocast("cpu", torch.bfloat16),
    ):
        found = twins(experiment)
        assert nd.audit(torch.optim.SGD, steps=2, seeds=1).findings == audit.findings
        assert torch.get_default_dtype() is torch.float64
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_default_device().type == "meta"
    assert found.drift == expected.drift
    assert torch.get_float32_matmul_precision() == "medium"
