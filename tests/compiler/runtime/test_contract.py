"""What every user of torch.optim relies on, item by item."""

import copy

import pytest
import torch
from moments import Given, capturing, loss_of, moments, take_step
from taking_turns import in_turn
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import lr_scheduler

import normdsl as nd
from normdsl import G, W, t
from normdsl.algorithms import adam, adamw, lion, muon, sgd, sgd_momentum, shampoo, soap
from normdsl.expressions.nodes import Source


def parameters(*shapes, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(s, generator=g, dtype=dtype)) for s in shapes]


def with_grads(params, seed=1):
    g = torch.Generator().manual_seed(seed)
    for p in params:
        p.grad = torch.randn(p.shape, generator=g, dtype=p.dtype)
    return params


def same(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


# Groups


def test_a_group_may_come_later_with_a_rule_of_its_own():
    a, b, alone = parameters((3, 4), (5,), (5,))
    with torch.no_grad():
        alone.copy_(b)
    opt, own = muon([a], lr=0.1), adamw([alone], lr=0.2)
    opt.add_param_group({"params": b, "rule": adamw(lr=0.2)})
    assert [g["rule"] for g in opt.param_groups] == [muon, adamw]
    assert opt.param_groups[1]["lr"] == 0.2
    assert "momentum" not in opt.param_groups[1]
    for seed in range(3):
        with_grads([a, b], seed)
        alone.grad = b.grad.clone()
        opt.step()
        own.step()
    assert torch.equal(b, alone)


def test_a_group_of_the_same_rule_inherits_what_the_optimizer_was_given():
    a, b = parameters((2, 2), (2, 2))
    opt = muon([a], lr=0.5, momentum=0.3)
    opt.add_param_group({"params": [b], "lr": 0.1})
    assert opt.param_groups[1]["momentum"] == 0.3
    assert opt.param_groups[1]["lr"] == 0.1


@pytest.mark.parametrize(
    ("group", "says"),
    [
        ({"rule": "muon"}, "a group steps by a declaration"),
        ({"rule": adamw(lr=0.1), "weight_decoy": 0.9}, "did you mean weight_decay"),
        ({"rule": adamw(lr=0.1), "betas": (0.9,)}, "beta1, beta2 together"),
        ({"nonfinite": "skip"}, "an option of an optimizer"),
        ({"view": "flat"}, "view"),
        ({"schedule": "fast"}, "schedule"),
        ({"maximize": 1}, "maximize"),
        ({"learning_rate": 0.1}, "learning_rate"),
        ({"lr": -1.0}, "lr"),
    ],
)
def test_a_bad_group_is_refused_before_it_is_added(group, says):
    a, b = parameters((2, 2), (2, 2))
    opt = muon([a])
    with pytest.raises(nd.HyperparameterError, match=says):
        opt.add_param_group({"params": [b], **group})
    assert len(opt.param_groups) == 1


def test_a_parameter_in_two_groups_is_refused():
    (a,) = parameters((2, 2))
    with pytest.raises(ValueError, match="more than one parameter group"):
        sgd([{"params": [a]}, {"params": [a]}])


def test_named_parameters_keep_their_names():
    model = nn.Linear(3, 2)
    opt = adamw(model.named_parameters())
    assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
    opt.load_state_dict(opt.state_dict())
    assert opt.param_groups[0]["param_names"] == ["weight", "bias"]


def test_an_empty_group_takes_no_step_and_is_saved():
    (a,) = with_grads(parameters((2, 2)))
    opt = sgd([{"params": [a]}, {"params": []}], lr=0.1)
    opt.step()
    opt.load_state_dict(opt.state_dict())
    assert [len(g["params"]) for g in opt.param_groups] == [1, 0]


def test_every_group_must_bring_a_rule_where_the_optimizer_has_none():
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

    (a,) = parameters((2, 2))
    opt = DeclaredOptimizer(None, [{"params": [a], "rule": muon(lr=0.1)}])
    assert opt.param_groups[0]["lr"] == 0.1
    with pytest.raises(nd.HyperparameterError, match="steps by a declaration"):
        opt.add_param_group({"params": parameters((2, 2))})
    with pytest.raises(nd.HyperparameterError, match="brings its own rule"):
        DeclaredOptimizer(None, [{"params": [a], "rule": muon}], lr=0.1)


# A step


def test_maximize_climbs_as_descent_of_the_negated_loss_falls():
    for rule in (adamw, muon):
        ours, theirs = parameters((3, 4)), parameters((3, 4))
        up, down = rule(ours, maximize=True), rule(theirs)
        for seed in range(3):
            with_grads(ours, seed)
            kept = ours[0].grad.clone()
            theirs[0].grad = -kept
            up.step()
            down.step()
            assert torch.equal(ours[0].grad, kept)
        assert same(ours, theirs)


def test_maximize_negates_a_loss_that_the_rule_reads():
    @nd.optimizer
    def polyak():
        return W - nd.maximum(nd.loss, 0) / nd.inner(G, G) * G

    (p,) = parameters((2, 2))
    start = p.detach().clone()
    p.grad = torch.ones_like(p)
    polyak([p], maximize=True).step(loss=-4.0)
    torch.testing.assert_close(p.detach(), start + 1)


@pytest.mark.parametrize("loss", [torch.ones(2), "low", 1 + 2j, torch.ones((), dtype=torch.cfloat)])
def test_a_loss_that_is_not_one_number_is_refused(loss):
    @nd.optimizer
    def polyak():
        return W - nd.loss / nd.inner(G, G) * G

    (p,) = with_grads(parameters((2, 2)))
    with pytest.raises(nd.GradientError, match="one real number"):
        polyak([p]).step(loss=loss)


def test_what_a_closure_returns_is_no_matter_to_rules_that_do_not_read_it():
    (p,) = with_grads(parameters((2, 2)))
    told = {"loss": torch.ones(3)}
    assert sgd([p]).step(lambda: told) is told


def test_hooks_run_before_and_after_and_zero_grad_forgets():
    (p,) = with_grads(parameters((2, 2)))
    opt, seen = sgd([p]), []
    opt.register_step_pre_hook(lambda *_: seen.append("before"))
    opt.register_step_post_hook(lambda *_: seen.append("after"))
    opt.step()
    opt.zero_grad()
    assert seen == ["before", "after"]
    assert p.grad is None


def test_without_gradients_nothing_happens_and_no_state_is_made():
    params = parameters((2, 2), (3, 3))
    before = [p.detach().clone() for p in params]
    opt = adamw(params)
    opt.step()
    assert same(params, before)
    assert not opt.state


def test_intermittent_gradients_stop_the_parameters_own_clock():
    a, b = parameters((2, 3), (2, 3))
    alone = nn.Parameter(b.detach().clone())
    opt, own = adamw([a, b]), adamw([alone])
    for step in range(4):
        with_grads([a, b], step)
        if step % 2:
            b.grad = None
        else:
            alone.grad = b.grad.clone()
            own.step()
        opt.step()
    assert torch.equal(b, alone)
    assert (int(opt.state[a]["step"]), int(opt.state[b]["step"])) == (4, 2)


def test_frozen_parameters_stay_and_may_thaw():
    a, b = parameters((2, 2), (2, 2))
    b.requires_grad_(False)
    opt, start = muon([a, b]), b.detach().clone()
    a.sum().backward()
    opt.step()
    assert torch.equal(b, start)
    b.requires_grad_(True)
    opt.zero_grad()
    (a.sum() + b.sum()).backward()
    opt.step()
    assert not torch.equal(b, start)


def test_parameters_without_entries_take_no_step():
    empty, (p,) = nn.Parameter(torch.zeros(0, 3)), with_grads(parameters((2, 2)))
    empty.grad = torch.zeros(0, 3)
    opt = muon([empty, p])
    opt.step()
    assert empty not in opt.state


# Kinds of tensors


@pytest.mark.parametrize("rule", [adamw, sgd_momentum, lion], ids=lambda r: r.name)
def test_complex_parameters_are_pairs_of_real_ones(rule):
    z = nn.Parameter(torch.randn(3, 2, dtype=torch.complex128))
    x = nn.Parameter(torch.view_as_real(z.detach()).clone())
    ours, theirs = rule([z]), rule([x])
    for _ in range(3):
        z.grad = torch.randn_like(z)
        x.grad = torch.view_as_real(z.grad).clone()
        ours.step()
        theirs.step()
    assert torch.equal(torch.view_as_real(z.detach()), x.detach())


def test_complex_matrices_are_refused():
    @nd.optimizer
    def sized(lr=0.1):
        return W - lr * nd.rows * G

    for rule in (muon, soap, sized):
        with pytest.raises(nd.GradientError, match="complex matrix is not a real one"):
            rule([nn.Parameter(torch.zeros(2, 2, dtype=torch.complex64))])


@pytest.mark.parametrize("rule", [adamw, muon, soap], ids=lambda r: r.name)
def test_the_layout_in_memory_changes_nothing(rule):
    (plain,) = parameters((4, 3))
    turned = nn.Parameter(plain.detach().t().contiguous().t())
    gap = nn.Parameter(torch.zeros(4, 6, dtype=torch.float64)[:, ::2])
    with torch.no_grad():
        gap.copy_(plain)
    opts = [rule([p]) for p in (plain, turned, gap)]
    strides = [p.stride() for p in (plain, turned, gap)]
    for seed in range(3):
        with_grads([plain], seed)
        turned.grad = plain.grad.t().contiguous().t()
        gap.grad = plain.grad.clone()
        for opt in opts:
            opt.step()
    torch.testing.assert_close(turned, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gap, plain, rtol=1e-12, atol=1e-12)
    assert [p.stride() for p in (plain, turned, gap)] == strides


def test_channels_last_stays_and_states_follow():
    (plain,) = parameters((4, 3, 2, 2))
    last = nn.Parameter(plain.detach().to(memory_format=torch.channels_last))
    ours, theirs = muon([last], view=nd.views.flat), muon([plain], view=nd.views.flat)
    for seed in range(2):
        with_grads([plain], seed)
        last.grad = plain.grad.to(memory_format=torch.channels_last)
        ours.step()
        theirs.step()
    torch.testing.assert_close(last, plain)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert ours.state[last]["u_buffer"].shape == (4, 3, 2, 2)
    assert ours.state[last]["u_buffer"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("rule", in_turn(2).values(), ids=lambda r: r.name)
def test_every_rule_steps_in_every_dtype_and_leaves_the_gradient_alone(rule, dtype):
    torch.manual_seed(0)
    model = nn.Linear(3, 4, bias=False).to(dtype)
    extra = capturing(rule, model)
    opt = rule(model.parameters(), **extra)
    x = torch.randn(8, 3, dtype=dtype)
    for _ in range(2):
        opt.zero_grad()
        model(x).square().mean().backward()
        kept = model.weight.grad.clone()
        take_step(opt, rule)
        # A rule that reads gradients elsewhere alone leaves the last of these.
        assert torch.equal(model.weight.grad, kept) or not rule.reads(Source.GRADIENT)
    assert model.weight.dtype == dtype
    assert bool(torch.isfinite(model.weight).all())


def test_states_that_pass_values_on_are_not_overwritten_by_each_other():
    @nd.optimizer
    def delayed(lr=1.0):
        a = nd.prev(G)
        b = nd.prev(a)
        return W - lr * (a + 10 * b + 100 * nd.prev(b)) + 1000 * nd.prev(W)

    (alone,), many = parameters((2, 2)), parameters((2, 2), (2, 2))
    opts = delayed([alone]), delayed(many)
    for seed in range(5):
        with_grads(many, seed)
        alone.grad = many[0].grad.clone()
        for opt in opts:
            opt.step()
    assert torch.equal(alone, many[0])


# Hyper-parameters


SCHEDULERS = {
    "step": lambda o: lr_scheduler.StepLR(o, 2),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=10, cycle_momentum=False),
    "cyclic": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, cycle_momentum=False),
    "linear": lambda o: lr_scheduler.LinearLR(o),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (k + 1)),
    "chained": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o), lr_scheduler.PolynomialLR(o)], [2]
    ),
}


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())
def test_schedulers_drive_us_as_they_drive_torch(make):
    ours, theirs = parameters((3, 4)), parameters((3, 4))
    opts = adam(ours, lr=0.05), torch.optim.Adam(theirs, lr=0.05)
    schedules = [make(opt) for opt in opts]
    for seed in range(6):
        with_grads(ours, seed)
        theirs[0].grad = ours[0].grad.clone()
        for opt, schedule in zip(opts, schedules, strict=True):
            opt.step()
            schedule.step()
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-12, atol=1e-12)
    copied = copy.deepcopy(opts[0].state_dict())
    opts[0].load_state_dict(copied)


def test_one_cycle_turns_the_momentum_of_a_rule_that_has_one():
    (p,) = with_grads(parameters((2, 2)))
    opt = muon([p])
    schedule = lr_scheduler.OneCycleLR(opt, 0.1, total_steps=10)
    opt.step()
    schedule.step()
    assert 0.85 <= opt.param_groups[0]["momentum"] < 0.95


def test_averaged_weights_and_their_learning_rate():
    model = nn.Linear(3, 2, dtype=torch.float64)
    opt = adamw(model.parameters())
    averaged = torch.optim.swa_utils.AveragedModel(model)
    swa = torch.optim.swa_utils.SWALR(opt, swa_lr=0.05, anneal_epochs=2)
    for seed in range(3):
        with_grads(list(model.parameters()), seed)
        opt.step()
        averaged.update_parameters(model)
        swa.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(0.05)


def test_hyper_parameters_may_be_tensors_and_are_not_read():
    ours, theirs = parameters((3, 4)), parameters((3, 4))
    rate = torch.tensor(0.1, dtype=torch.float64)
    opt = adamw(ours, lr=rate, beta1=torch.tensor(0.8, dtype=torch.float64))
    plain = adamw(theirs, lr=0.1, beta1=0.8)
    for seed in range(3):
        with_grads(ours, seed)
        theirs[0].grad = ours[0].grad.clone()
        opt.step()
        plain.step()
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-12, atol=1e-12)
    rate.fill_(0.0)
    before = ours[0].detach().clone()
    opt.step()
    assert torch.equal(ours[0], before)


@pytest.mark.slow
def test_schedulers_and_tensors_recompile_nothing():
    (p,) = with_grads(parameters((3, 4)))
    opt = adamw([p], schedule=nd.Schedule(compile=True))
    schedule = lr_scheduler.ExponentialLR(opt, 0.9)
    eager = parameters((3, 4))
    plain = adamw(eager)
    other = lr_scheduler.ExponentialLR(plain, 0.9)
    for step in range(4):
        if step == 2:
            opt.param_groups[0]["beta1"] = torch.tensor(0.9)
        eager[0].grad = p.grad.clone()
        with torch.compiler.set_stance("fail_on_recompile" if step else "default"):
            opt.step()
        plain.step()
        schedule.step()
        other.step()
    torch.testing.assert_close(p, eager[0])


# Promises about the device, and derivatives


@pytest.mark.parametrize("rule", [adamw, muon, soap, shampoo], ids=lambda r: r.name)
def test_a_capturable_step_reads_nothing_on_the_host(rule):
    """Fake tensors have no values: a step that asks for one raises."""
    with FakeTensorMode():
        p = nn.Parameter(torch.empty(4, 3))
        opt = rule([p], capturable=True, lr=torch.empty(()))
        assert opt.nonfinite == "skip"
        for _ in range(2):
            p.grad = torch.empty(4, 3)
            opt.step()


@pytest.mark.parametrize("rule", in_turn(3).values(), ids=lambda r: r.name)
def test_a_step_stays_on_the_device_of_its_parameter(rule):
    """On the meta device: whatever is made on another one does not combine with it."""
    p = nn.Parameter(torch.empty(4, 3, device="meta"))
    given = Given()
    opt = rule([p], capturable=True, **({"capture": given} if rule.moments else {}))
    for _ in range(2):
        p.grad = torch.empty(4, 3, device="meta")
        given.values[p] = {k: x.to("meta") for k, x in moments(rule, (4, 3)).items()}
        if rule.asks:
            take_step(opt, rule)
        else:
            opt.step(**{k: x.to("meta") for k, x in loss_of(rule).items()})
    assert {x.device.type for x in opt.state[p].values()} <= {"meta"}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("rule", [adamw, lion, sgd_momentum], ids=lambda r: r.name)
def test_a_cuda_graph_replays_steps(rule):
    (p,), (q,) = parameters((4, 3)), parameters((4, 3))
    p, q = (nn.Parameter(x.detach().cuda()) for x in (p, q))
    p.grad, rate = torch.zeros_like(p), torch.tensor(0.1, device="cuda", dtype=torch.float64)
    opt, eager = rule([p], lr=rate, capturable=True), rule([q], lr=0.1)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        opt.step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        opt.step()
    for seed in range(4):
        q.grad = torch.randn_like(q) if seed else torch.zeros_like(q)
        if seed:
            p.grad.copy_(q.grad)
            graph.replay()
        eager.step()
    torch.testing.assert_close(p, q)
    assert int(opt.state[p]["step"]) == 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"nonfinite": "raise"}, "must wait"),
        ({"schedule": nd.Schedule(refresh=10)}, "step count"),
    ],
)
def test_what_a_capturable_step_cannot_do_is_refused(options, says):
    with pytest.raises(nd.HyperparameterError, match=says):
        soap(parameters((2, 2)), capturable=True, **options)


def test_the_class_refuses_to_be_differentiable_and_the_functions_are():
    (w,) = parameters((2, 3))
    with pytest.raises(nd.HyperparameterError, match=r"nd\.functional"):
        adamw([w], differentiable=True)
    rule, grad = nd.functional(muon), torch.randn(2, 3, dtype=torch.float64)

    def after(w, grad, lr):
        new, state = rule.update(grad, rule.init(w), w, lr=lr)
        return rule.update(2 * grad, state, new, lr=lr)[0]

    rate = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(after, (w, grad.requires_grad_(), rate))


@pytest.mark.parametrize("late", [0, 1])
def test_matrices_of_a_view_have_the_clock_of_their_parameter(late):
    """Of two parameters of two matrices the clocks are 1, 1, 2, 2 and not 1, 2, 1, 2."""

    @nd.optimizer
    def counting(lr=1.0):
        return W - lr * t * G

    params = [nn.Parameter(torch.zeros(4, 3)) for _ in range(2)]
    opt = counting(params, view=nd.views.heads(2))
    for k in range(2):
        for i, p in enumerate(params):
            p.grad = None if k == 0 and i == late else torch.ones(4, 3)
        opt.step()
    for i, p in enumerate(params):
        expected = -1.0 if i == late else -3.0
        torch.testing.assert_close(p.detach(), torch.full((4, 3), expected))


@pytest.mark.parametrize("rule", [adamw, muon], ids=lambda r: r.name)
@pytest.mark.parametrize("compiled", [None, False, True])
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_graph_that_saved_weights_refuses_a_backward_pass_after_a_step(rule, compiled, nonfinite):
    w = nn.Parameter(torch.randn(600, 500))  # entries enough for native code
    if rule is muon and compiled:
        pytest.skip("a graph of inductor takes long, and writes by torch's operations")
    opt = rule([w], schedule=nd.Schedule(compile=compiled), nonfinite=nonfinite)
    for _ in range(2):
        loss = w.square().sum()
        w.grad = torch.randn_like(w)
        opt.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
