"""Programs: readable source that imports torch alone, batches, capture, no host synchronisation."""

import ast
import re

import pytest
import torch
from moments import drawn_of, layers_of, loss_of, moments
from norms_catalogue import NORMS
from properties import refuses
from taking_turns import in_turn
from torch._subclasses.fake_tensor import FakeTensorMode

import normdsl as nd
from normdsl import G, W
from normdsl.cli.find import shipped
from normdsl.compiler.lowering.program import lower
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.domains import POSITIVE
from normdsl.expressions.nodes import Param
from normdsl.expressions.traversal import walk
from normdsl.norms.base import NormOperation

RULES = in_turn(3).values()
NEWTON = nd.Schedule(polar=nd.polar_express(5))
PRODUCTS = nd.Schedule(polar=nd.quintic("bfloat16").on_gram(), root=nd.CoupledNewton(9))


def hyper(rule):
    return {k: v for k, v in rule.defaults.items() if v is not None}


def clock(batch, device="cpu"):
    return torch.ones((batch, 1, 1), dtype=torch.float64, device=device)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_source_runs_with_torch_alone_and_is_what_runs(rule):
    program = lower(rule, nd.Schedule(), rule.averages)
    source = rule.source(shape=(4, 3))
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    imported = {n.names[0].name if isinstance(n, ast.Import) else n.module for n in imports}
    assert {"__future__", "torch"} <= imported <= {"__future__", "torch", "math"}
    namespace = {}
    exec(compile(source, "ejected.py", "exec"), namespace)
    weights, grads = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    drawn = drawn_of(program, weights)
    states = namespace["init"](weights, **drawn, **hyper(rule))
    given = {k: x.float() for k, x in moments(rule, (4, 3), batch=(2,)).items()} | hyper(rule)
    given |= loss_of(rule) | drawn
    given |= layers_of(program, weights, grads, *states, t=clock(2), **given)
    ours = program.step(weights, grads, *states, t=clock(2), **given)
    theirs = namespace["step"](weights, grads, *states, t=clock(2), **given)
    assert all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_batch_is_a_loop(rule):
    program = lower(rule, nd.exact)
    weights, grads = torch.randn(3, 4, 3).double(), torch.randn(3, 4, 3).double()
    drawn = drawn_of(program, weights)
    states = program.init(weights, **drawn, **hyper(rule))
    seen = moments(rule, (4, 3), batch=(3,))
    told = hyper(rule) | loss_of(rule) | drawn
    told |= layers_of(program, weights, grads, *states, t=clock(3), **seen, **told)
    together = program.step(weights, grads, *states, t=clock(3), **seen, **told)
    for i in range(3):
        mine = [s[i : i + 1] for s in states]
        given = told | {k: x[i : i + 1] for k, x in seen.items()}
        given |= {"stream": told["stream"][i : i + 1]} if drawn else {}
        each = [key for key in ("own", "answers") if key in told]
        given |= {key: tuple(x[i : i + 1] for x in told[key]) for key in each}
        alone = program.step(weights[i : i + 1], grads[i : i + 1], *mine, t=clock(1), **given)
        for x, y in zip(together, alone, strict=True):
            torch.testing.assert_close(x[i : i + 1], y)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
@pytest.mark.parametrize(
    "schedule", [nd.Schedule(), NEWTON, PRODUCTS], ids=["exact kernels", "newton", "products"]
)
def test_no_host_synchronisation_on_fake_tensors(rule, schedule):
    """A fake tensor has no data: reading any value on the host would raise.

    Fake CUDA tensors, except for factorisations and for places of random numbers, whose fake form
    asks a CPU build for CUDA.
    """
    program = lower(rule, schedule)
    factored = "torch.linalg.svd" in program.code or "eigh" in program.code
    device = "cpu" if factored or program.draws else "cuda"
    with FakeTensorMode():
        weights = torch.empty(2, 8, 4, device=device)
        drawn = drawn_of(program, weights)
        states = program.init(weights, **drawn, **hyper(rule))
        sizes = {"input_moment": 4, "output_moment": 8}
        given = {k: torch.empty(2, sizes[k], sizes[k], device=device) for k in rule.moments}
        grads, now = torch.empty_like(weights), clock(2, device)
        given |= {k: torch.empty((), device=device) for k in loss_of(rule)} | hyper(rule) | drawn
        given |= layers_of(program, weights, grads, *states, t=now, **given)
        new, *after = program.step(weights, grads, *states, t=now, **given)
    assert new.device.type == device
    assert new.dtype == weights.dtype
    assert all(s.dtype == weights.dtype and s.shape == o.shape
               for s, o in zip(after, states, strict=True))  # fmt: skip


@pytest.mark.slow
def test_the_step_is_captured_in_one_graph_and_schedulers_do_not_recompile():
    rule = shipped()["muadam_sania"]
    weights = [torch.nn.Parameter(torch.randn(6, 4)) for _ in range(2)]
    start = [w.detach().clone() for w in weights]
    schedule = nd.Schedule(polar=nd.polar_express(5), compile=True)
    rate = torch.tensor(1e-2)
    opt = rule(weights, lr=rate, schedule=schedule)
    grads = [torch.randn(6, 4) for _ in weights]

    def step():
        for w, g in zip(weights, grads, strict=True):
            w.grad = g
        opt.step()

    step()
    step()
    with torch.compiler.set_stance("fail_on_recompile"):
        rate.mul_(0.5)
        step()
        others = [torch.nn.Parameter(torch.randn(9, 7)) for _ in range(2)]
        for w in others:
            w.grad = torch.randn(9, 7)
        rule(others, lr=rate, schedule=schedule).step()
    assert "compiled; the first step took" in opt.explain().runs[0]
    plain = [torch.nn.Parameter(w) for w in start]
    eager = rule(plain, lr=1e-2, schedule=NEWTON)
    for factor in (1.0, 1.0, 0.5):
        eager.param_groups[0]["lr"] = 1e-2 * factor
        for w, g in zip(plain, grads, strict=True):
            w.grad = g
        eager.step()
    for w, p in zip(weights, plain, strict=True):
        torch.testing.assert_close(w, p, rtol=1e-4, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_cuda_equals_cpu(rule):
    program = lower(rule, nd.exact)
    weights, grads = torch.randn(2, 8, 4).double(), torch.randn(2, 8, 4).double()
    seen = moments(rule, (8, 4), batch=(2,)) | loss_of(rule)
    results = []
    for device in ("cpu", "cuda"):
        w, g = weights.to(device), grads.to(device)
        states = program.init(w, **hyper(rule))
        told = {k: x.to(device) for k, x in seen.items()} | hyper(rule)
        told |= layers_of(program, w, g, *states, t=clock(2, device), **told)
        out = program.step(w, g, *states, t=clock(2, device), **told)
        results.append([x.cpu() for x in out])
    for x, y in zip(*results, strict=True):
        torch.testing.assert_close(x, y)


def test_an_initial_value_may_read_the_weights():
    @nd.optimizer
    def anchored(lr=0.1):
        start = nd.fix(lambda s: s, W, read=lambda old, new: old)
        return W - lr * (G + W - start)

    opt_w = torch.nn.Parameter(torch.ones(2, 2))
    opt = anchored([opt_w])
    for _ in range(2):
        opt_w.grad = torch.ones(2, 2)
        opt.step()
    torch.testing.assert_close(opt_w, torch.full((2, 2), 0.9 - 0.1 * (1 - 0.1)))


def test_the_printed_code_has_a_golden_form():
    expected = '''
    """The arrays of one step of adamw."""
    m_buffer = beta1 * m_buffer_old + c * G
    v_buffer = beta2 * v_buffer_old + c1 * (G * G)
    v = v_buffer * c3
    m = m_buffer * c4
    W_new = c2 * W - lr * (reciprocal(torch.sqrt(v) + eps) * m)
    return W_new, m_buffer, v_buffer


def step(W, G, m_buffer_old, v_buffer_old, *, t, loss=None, lr, beta1, beta2, eps, weight_decay):
    """One step of adamw."""
    once = numbers(W, t=t, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)
    return arrays(W, G, m_buffer_old, v_buffer_old, **once, loss=loss)
'''
    source = shipped()["adamw"].source(shape=(2, 3))
    assert expected.strip() in source
    assert "#   m_buffer: 2 × 3" in source


def walk_all(rule):
    """Return the parts of a rule, what norms stand for included."""
    seen = walk(rule.update)
    return [x for y in seen for x in walk(y.definition if isinstance(y, NormOperation) else y)]


def test_a_rule_about_one_layer_knows_nothing_of_others():
    alone = [
        r
        for r in (part for rule in shipped().values() for part in rule.parts)
        if not any(x.footprint & Footprint.LAYERS for x in walk_all(r))
    ]
    assert len(alone) > 20
    for declaration in alone:
        program = lower(declaration, nd.Schedule())
        assert (program.layers, program.surveys) == ((), ())
        assert not re.search(r"\b(layers|own)=|survey", program.code)


def test_scalars_of_all_layers_are_found_in_order():
    total = nd.sum(nd.inner(G, G), over="layers")
    share = nd.max(nd.inner(G, G) / total, over="layers")
    program = lower(nd.Declaration("probe", (), W - share * G), nd.Schedule())
    assert program.layers == (total, share)
    first, second = program.code.split("def survey1")
    assert first.count("layers[0]") == 1
    assert '"""What a layer adds to layers[0]."""' in first
    assert "own[0] / layers[0]" in second
    assert second.count("layers[1] * G") == 1
    assert len(program.surveys) == 2


@pytest.mark.parametrize("name", ["nuclear", "ky_fan dual", "layers max", "rows 3 by 3/2"])
def test_steps_of_norms_are_captured_in_one_graph(name):
    program = lower(nd.Declaration("probe", (), W + NORMS[name].lmo(G)), nd.Schedule())
    captured(program)


@pytest.mark.parametrize(
    "x",
    [
        nd.kth_largest(nd.abs(G), 3, over="rows"),
        nd.quantile(G, 0.3, over="rows"),
        nd.every(2, nd.mod(G, W * W), G),
        nd.block_mean(G, rows=2, cols=3),
    ],
    ids=str,
)
def test_order_and_blocks_are_captured_in_one_graph(x):
    captured(lower(nd.Declaration("probe", (), W - x), nd.Schedule()))


def captured(program):
    """Compile a step as one graph, and compare what it returns."""
    w, g = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    ones = (torch.ones(2, 1, 1),) * len(program.layers)
    known = {"layers": ones, "own": ones} if ones else {}
    compiled = torch.compile(program.step, backend="eager", fullgraph=True)
    t = torch.ones(2, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(compiled(w, g, t=t, **known), program.step(w, g, t=t, **known))


def test_a_state_may_start_from_a_norm_of_the_weights():
    start = nd.frobenius.value(W)
    rule = nd.Declaration("probe", (), W - G / nd.fix(lambda s: s + 1, start))
    W0 = torch.ones(3, 4, dtype=torch.float64)
    state = nd.functional(rule).init(W0)["s1"]
    torch.testing.assert_close(state.flatten(), W0.norm().reshape(1))


# Names of authors beside those of the code


@pytest.mark.parametrize(
    "name", ["rows", "cols", "batch", "layers", "own", "max", "x", "polar_svd"]
)
def test_states_may_be_called_like_anything_of_the_code(name):
    """A state called `rows` must not stand where the next state's length is read."""
    first = nd.ema(G, 0.9)
    second = nd.accumulate(G @ G.T, nd.eye_like(G @ G.T))
    size = nd.sum(nd.sum(nd.abs(first)), over="layers")
    update = W - nd.polar(second @ first) * size * nd.maximum(nd.rows / nd.cols, 1)
    gradients = [torch.randn(3, 4, generator=torch.Generator().manual_seed(k)) for k in range(3)]

    def path(one, two):
        rule = nd.Declaration("rule", (), update, ((one, first), (two, second), ("big", size)))
        pure, w = nd.functional(rule), torch.zeros(3, 4)
        state = pure.init(w)
        for g in gradients:
            w, state = pure.update(g, state, w)
        return w

    wanted = path("a", "b")
    assert torch.equal(path(name, "b"), wanted)
    assert torch.equal(path("a", name), wanted)


@pytest.mark.parametrize("name", ["polar_svd", "symmetric_power", "arrays"])
def test_a_hyper_parameter_that_would_hide_a_function_of_the_code_is_refused(name):
    hyper = Hyperparameter(name, 0.1, POSITIVE)
    step = nd.polar(nd.matrix_power(G @ G.T, 1 / 2) @ G)
    rule = nd.Declaration("rule", (hyper,), W - Param(name, hyper.domain) * step)
    with refuses(nd.DeclarationError, f"{name} is called like a function"):
        rule.source()


def test_a_hyper_parameter_may_be_called_like_a_function_that_is_not_there():
    hyper = Hyperparameter("polar_svd", 0.5, POSITIVE)
    rule = nd.Declaration("rule", (hyper,), W - Param("polar_svd", hyper.domain) * G)
    step = nd.functional(rule)
    new, _ = step.update(torch.ones(2, 2), step.init(torch.zeros(2, 2)), torch.zeros(2, 2))
    assert torch.equal(new, torch.full((2, 2), -0.5))
