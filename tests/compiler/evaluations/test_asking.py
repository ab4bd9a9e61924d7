"""Rules that evaluate the loss again: points, answers, and what an evaluation leaves as it was."""

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.errors import DeclarationError, GradientError, HyperparameterError

X = torch.linspace(-1, 1, 60, dtype=torch.float64).reshape(10, 6).sin()
Y = torch.arange(10) % 3


@nd.optimizer
def sam(lr=0.1, rho=0.05):
    return W - lr * nd.gradient(at=W - rho * nd.frobenius.lmo(G))


@nd.optimizer
def joint_sam(lr=0.1, rho=0.05):
    size = nd.sqrt(nd.sum(nd.inner(G, G), over="layers"))
    slope = nd.gradient(at=W + rho * G / size)
    return W - lr * slope / nd.sqrt(nd.sum(nd.inner(slope, slope), over="layers"))


@nd.optimizer
def extrapolated(lr=0.1, far=0.5):
    return W - lr * nd.gradient(at=W + far * (W - nd.prev(W, init=W)))


@nd.optimizer
def curved(lr=0.1):
    return W - lr * nd.hessian_product(G)


@nd.optimizer
def decided(lr=0.1):
    gain = nd.loss - nd.loss_at(W - lr * G)
    return W - lr * nd.maximum(nd.sign(gain), 0) * G


pytestmark = pytest.mark.filterwarnings("ignore:Using backward.* with create_graph:UserWarning")


def model(*layers):
    torch.manual_seed(0)
    inside = layers or (nn.Tanh(),)
    return nn.Sequential(nn.Linear(6, 5), *inside, nn.Linear(5, 3)).double()


def loss_of(net):
    return nn.functional.cross_entropy(net(X), Y)


class Closure:
    """Evaluates a model, counts how often, and can be told to fail."""

    def __init__(self, net, optimizer, fails_at=0, plain=False):
        self.net, self.optimizer, self.calls, self.fails_at = net, optimizer, 0, fails_at
        self.plain = plain

    def __call__(self):
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("out of memory")
        self.optimizer.zero_grad()
        loss = loss_of(self.net)
        asks = any(r["rule"].asks for r in self.optimizer.param_groups)
        loss.backward(create_graph=asks and not self.plain)
        return loss


def values(net):
    return [p.detach().clone() for p in net.parameters()]


def run(rule, net, steps=3, **options):
    optimizer = rule(net.parameters(), **options)
    closure = Closure(net, optimizer)
    losses = [float(optimizer.step(closure).detach()) for _ in range(steps)]
    return closure, losses, optimizer


@torch.enable_grad()
def slopes(net):
    return torch.autograd.grad(loss_of(net), [*net.parameters()], create_graph=True)


def test_the_gradient_is_taken_where_all_layers_have_moved():
    net, other = model(), model()
    closure, losses, _ = run(sam, net)
    assert closure.calls == 6
    for expected in losses:
        assert float(loss_of(other).detach()) == pytest.approx(expected, rel=1e-12)
        before, grads = values(other), slopes(other)
        with torch.no_grad():
            for p, g in zip(other.parameters(), grads, strict=True):
                p += 0.05 * g / g.norm()
            moved = slopes(other)
            for p, old, g in zip(other.parameters(), before, moved, strict=True):
                p.copy_(old - 0.1 * g)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_what_layers_share_may_come_before_and_after_an_answer():
    net, other = model(), model()
    run(joint_sam, net, steps=1)
    before, grads = values(other), slopes(other)
    size = torch.cat([g.flatten() for g in grads]).norm()
    with torch.no_grad():
        for p, g in zip(other.parameters(), grads, strict=True):
            p += 0.05 * g / size
        moved = slopes(other)
        size = torch.cat([g.flatten() for g in moved]).norm()
        for p, old, g in zip(net.parameters(), before, moved, strict=True):
            torch.testing.assert_close(p, old - 0.1 * g / size, rtol=1e-12, atol=1e-14)


@nd.optimizer
def curved_clip(lr=0.1):
    """What layers share depends on an answer, and on the gradient at the weights as before it."""
    length = nd.sqrt(nd.sum(nd.sum(G * G), over="layers"))
    ahead = nd.gradient(at=W - lr * G / length)
    return W - lr * G * nd.sum(nd.inner(ahead, G), over="layers") / length**2


def test_matrices_of_one_batch_are_told_what_those_of_several_are():
    """Once: The gradients elsewhere stood in memory for those at the weights."""

    def stepped(groups):
        ps = [nn.Parameter(torch.arange(1.0, 7.0).reshape(2, 3) * k) for k in (0.1, 0.2)]
        opt = curved_clip(groups(ps))

        def closure():
            opt.zero_grad()
            loss = sum(p.pow(4).sum() for p in ps)
            loss.backward()
            return loss

        opt.step(closure)
        return ps

    together = stepped(lambda ps: ps)
    apart = stepped(lambda ps: [{"params": p, "lr": torch.tensor(0.1)} for p in ps])
    torch.testing.assert_close(together, apart)


def test_a_rule_that_reads_no_gradient_at_the_weights_costs_one_evaluation():
    net, other = model(), model()
    closure, losses, _ = run(extrapolated, net, steps=4)
    assert closure.calls == 5  # the first step also sees which parameters have a gradient
    past = values(other)
    for step in range(4):
        now = values(other)
        with torch.no_grad():
            for p, old in zip(other.parameters(), past, strict=True):
                p += 0.5 * (p - old)
        found, grads = float(loss_of(other).detach()), slopes(other)
        assert step == 0 or losses[step] == pytest.approx(found, rel=1e-12)
        with torch.no_grad():
            for p, w, g in zip(other.parameters(), now, grads, strict=True):
                p.copy_(w - 0.1 * g)
        past = now
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_products_are_with_the_hessian_of_all_layers():
    net, other = model(), model()
    closure, _, _ = run(curved, net, steps=1)
    assert closure.calls == 1
    grads = slopes(other)
    fixed = [g.detach() for g in grads]
    products = torch.autograd.grad(grads, [*other.parameters()], fixed)
    for p, q, hg in zip(net.parameters(), other.parameters(), products, strict=True):
        torch.testing.assert_close(p, q - 0.1 * hg, rtol=1e-12, atol=1e-14)
        assert not p.grad.requires_grad  # its graph is let go of


@pytest.mark.parametrize("rule", [curved, nd.algorithms.hessian_momentum], ids=lambda r: r.name)
def test_products_may_be_differences_of_gradients_by_a_plain_closure(rule):
    nets, schedule = [model(), model(), model()], nd.Schedule(hessian=nd.Differences(step=1e-6))
    run(rule, nets[0], steps=3)
    optimizer = rule(nets[1].parameters(), schedule=schedule)
    closure = Closure(nets[1], optimizer, plain=True)
    for _ in range(3):
        optimizer.step(closure)
    assert closure.calls == 6
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)
        assert not torch.equal(p, q)
    pure = nd.functional(rule, schedule)
    params = {k: p.detach() for k, p in nets[2].named_parameters()}
    state = pure.init(params)

    def objective(values):
        return nn.functional.cross_entropy(torch.func.functional_call(nets[2], values, X), Y)

    for _ in range(3):
        params, state = pure.update(
            torch.func.grad(objective)(params), state, params, objective=objective
        )
    for name, p in nets[1].named_parameters():
        torch.testing.assert_close(p, params[name], rtol=1e-7, atol=1e-9)
    assert rule.cost(schedule=schedule).evaluations == rule.cost().evaluations + 1
    slope, w = [torch.eye(3, dtype=torch.float64)], torch.ones(3, 3, dtype=torch.float64)
    told = {"weights": w, "objectives": [lambda x: (x**4).sum()]}
    (error,) = nd.schedule_error(curved, nd.Schedule(hessian=nd.Differences()), slope, **told)
    assert 1e-5 < error < 1e-1


def test_groups_agree_on_how_products_are_computed():
    net = model()
    far = nd.Schedule(hessian=nd.Differences())
    groups = [
        {"params": [net[0].weight], "rule": curved},
        {"params": [net[2].weight], "rule": curved, "schedule": far},
    ]
    optimizer = nd.compiler.runtime.optimizer.DeclaredOptimizer(None, groups)
    with pytest.raises(HyperparameterError, match="give all groups the same"):
        optimizer.step(Closure(net, optimizer))


def test_a_loss_elsewhere_can_decide_a_step():
    net = model()
    before = values(net)
    run(decided, net, steps=1, lr=1e-2)
    assert not all(map(torch.equal, before, values(net)))
    before = values(net)
    run(decided, net, steps=1, lr=1e3)
    assert all(map(torch.equal, before, values(net)))


@pytest.mark.parametrize("rule", [sam, joint_sam, curved, decided], ids=lambda r: r.name)
def test_the_pure_form_takes_the_loss_as_a_function(rule):
    net, start = model(), model()
    run(rule, net, steps=2)
    pure, params = nd.functional(rule), dict(start.named_parameters())
    params = {k: p.detach() for k, p in params.items()}
    state = pure.init(params)

    def objective(values):
        return nn.functional.cross_entropy(torch.func.functional_call(start, values, X), Y)

    for _ in range(2):
        grads, loss = torch.func.grad_and_value(objective)(params)
        told = {"loss": loss} if rule is decided else {}
        params, state = pure.update(grads, state, params, objective=objective, **told)
    for name, p in net.named_parameters():
        torch.testing.assert_close(p, params[name], rtol=1e-12, atol=1e-14)


def test_evaluations_see_the_same_random_numbers_and_leave_the_generator_as_one_would():
    net = model(nn.Dropout(0.5))
    seen = []
    net[1].register_forward_hook(lambda m, x, y: seen.append(y.detach() == 0))
    optimizer = sam(net.parameters())
    torch.manual_seed(3)
    optimizer.step(Closure(net, optimizer))
    after = torch.rand(())
    assert torch.equal(seen[0], seen[1])
    torch.manual_seed(3)
    loss_of(net)
    assert torch.equal(after, torch.rand(()))


def test_buffers_keep_what_the_first_evaluation_left():
    nets = [model(nn.BatchNorm1d(5)) for _ in range(3)]
    run(sam, nets[0], steps=1, buffers=nets[0].buffers())
    run(sam, nets[1], steps=1)
    loss_of(nets[2])
    means = [net[1].running_mean for net in nets]
    assert torch.equal(means[0], means[2])
    assert not torch.equal(means[1], means[2])
    assert nets[0][1].num_batches_tracked == 1


def test_a_closure_that_fails_changes_nothing():
    net = model()
    optimizer = sam(net.parameters())
    closure = Closure(net, optimizer, fails_at=4)
    optimizer.step(closure)
    before = values(net)
    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    grads = [p.grad for p in net.parameters()]
    assert all(map(torch.equal, before, values(net)))
    assert all(g is not None for g in grads)
    optimizer.step(closure)
    assert not all(map(torch.equal, before, values(net)))


def test_precisions_of_the_process_hold_in_every_evaluation():
    net, dtypes = model().float(), []
    net[0].register_forward_hook(lambda m, x, y: dtypes.append(y.dtype))
    optimizer = sam(net.parameters())

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(X.float()), Y)
        loss.backward()
        return loss

    with torch.autocast("cpu", torch.bfloat16):
        optimizer.step(closure)
    assert dtypes == [torch.bfloat16, torch.bfloat16]


def test_a_step_without_a_closure_is_refused():
    net = model()
    optimizer = sam(net.parameters())
    loss_of(net).backward()
    with pytest.raises(GradientError, match=r"opt\.step\(closure\)"):
        optimizer.step()
    pure, w = nd.functional(sam), torch.eye(2)
    with pytest.raises(GradientError, match="objective=f"):
        pure.update(w, pure.init(w), w)


def test_a_gradient_without_a_graph_has_no_hessian():
    net = model()
    optimizer = curved(net.parameters())
    before = values(net)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward()
        return loss

    with pytest.raises(GradientError, match="create_graph=True"):
        optimizer.step(closure)
    assert all(map(torch.equal, before, values(net)))


def broken(net, optimizer, where):
    """Return a closure whose second evaluation has a gradient that is not finite."""
    inner = Closure(net, optimizer)

    def closure():
        loss = inner()
        if inner.calls % 2 == 0:
            where.grad[0] = torch.nan
        return loss

    return closure


def test_an_answer_that_is_not_finite_is_refused_or_skipped():
    net = model()
    optimizer = sam(net.parameters())
    before = values(net)
    with pytest.raises(GradientError, match="at a point where the rule asks"):
        optimizer.step(broken(net, optimizer, net[0].weight))
    assert all(map(torch.equal, before, values(net)))
    optimizer = sam(net.parameters(), nonfinite="skip")
    optimizer.step(broken(net, optimizer, net[0].weight))
    kept = [torch.equal(x, y) for x, y in zip(before, values(net), strict=True)]
    assert kept == [True, False, False, False]


def test_rules_of_several_groups_move_together():
    net, other = model(), model()
    groups = [
        {"params": [net[0].weight, net[0].bias], "rule": sam},
        {"params": [net[2].weight, net[2].bias], "rule": nd.algorithms.sgd, "lr": 0.1},
    ]
    optimizer = nd.compiler.runtime.optimizer.DeclaredOptimizer(None, groups)
    closure = Closure(net, optimizer)
    optimizer.step(closure)
    assert closure.calls == 2
    grads = slopes(other)
    before = values(other)
    with torch.no_grad():
        for p, g in zip([*other.parameters()][:2], grads, strict=False):
            p += 0.05 * g / g.norm()
        moved = slopes(other)
    expected = [w - 0.1 * g for w, g in zip(before, [*moved[:2], *grads[2:]], strict=True)]
    for p, w in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), w, rtol=1e-12, atol=1e-14)


def test_a_rule_beside_one_that_asks_elsewhere_alone_has_its_own_gradient():
    net, other = model(), model()
    groups = [
        {"params": [net[0].weight, net[0].bias], "rule": extrapolated},
        {"params": [net[2].weight, net[2].bias], "rule": nd.algorithms.sgd, "lr": 0.1},
    ]
    optimizer = nd.compiler.runtime.optimizer.DeclaredOptimizer(None, groups)
    closure, past = Closure(net, optimizer), values(other)
    for _ in range(3):
        optimizer.step(closure)
        now, grads = values(other), slopes(other)
        with torch.no_grad():
            for p, old in list(zip(other.parameters(), past, strict=True))[:2]:
                p += 0.5 * (p - old)
            ahead = slopes(other)
            for p, w, g in zip(other.parameters(), now, [*ahead[:2], *grads[2:]], strict=True):
                p.copy_(w - 0.1 * g)
        past = now
    assert closure.calls == 6
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_what_is_maximised_is_asked_with_its_sign():
    net, other = model(), model()
    run(decided, net, steps=1, maximize=True, lr=1e-2)
    grads = slopes(other)
    for p, q, g in zip(net.parameters(), other.parameters(), grads, strict=True):
        torch.testing.assert_close(p, q + 1e-2 * g, rtol=1e-12, atol=1e-14)


def test_a_difference_of_gradients_reaches_as_far_as_it_says():
    net, other = model(), model()
    rule = nd.algorithms.gradient_regularization
    run(rule, net, steps=1, lr=0.1, gamma=0.5, far=0.7)
    grads, before = slopes(other), values(other)
    with torch.no_grad():
        for p, g in zip(other.parameters(), grads, strict=True):
            p += 0.7 * g
    ahead = slopes(other)
    for p, w, g, a in zip(net.parameters(), before, grads, ahead, strict=True):
        expected = w - 0.1 * (g + 0.5 / 0.7 * (a - g))
        torch.testing.assert_close(p.detach(), expected.detach(), rtol=1e-12, atol=1e-14)


def test_the_number_of_evaluations_is_told():
    costs = {r.name: (r.cost().evaluations, r.cost().hessian_products) for r in
             (sam, joint_sam, extrapolated, curved, decided, nd.algorithms.adam)}  # fmt: skip
    assert costs == {
        "sam": (2, 0), "joint_sam": (2, 0), "extrapolated": (1, 0), "curved": (1, 1),
        "decided": (2, 0), "adam": (1, 0),
    }  # fmt: skip
    told = str(curved(model().parameters()).explain())
    assert "curved evaluates the loss once a step and takes 1 product with the Hessian" in told
    assert "evaluates the loss" not in str(nd.algorithms.adam(model().parameters()).explain())


def test_what_cannot_be_done_is_said(tmp_path):
    with pytest.raises(DeclarationError, match="evaluates the loss again"):
        sam.eject(tmp_path / "sam.py")

    @nd.optimizer
    def circular(lr=0.1):
        root = nd.matrix_power(nd.accumulate(G @ G.T) + nd.eye_like(G @ G.T), -0.25)
        far = nd.gradient(at=W - lr * root @ G)
        other = nd.matrix_power(nd.accumulate(far @ far.T) + nd.eye_like(G @ G.T), -0.25)
        return W - lr * other @ far

    with pytest.raises(HyperparameterError, match="all are computed at once"):
        circular([torch.eye(3)], schedule=nd.Schedule(refresh=2))


@nd.optimizer
def anew(lr=0.1, k: nd.Count = 5):
    change = G - nd.gradient(at=nd.prev(W, init=W))
    return W - lr * nd.fix(lambda m: nd.every(k, G, m + change), nd.zeros_like(G))


def test_a_whole_number_other_than_the_default_asks_as_well():
    pure, w = nd.functional(anew), torch.ones(2, 2)
    state = pure.init(w, k=2)
    for expected in (1.0, 1.0 - 0.1 * 4.0):  # no step by the first gradient, as m starts from 0
        w, state = pure.update(4 * w**3, state, w, objective=lambda x: (x**4).sum(), k=2)
        torch.testing.assert_close(w, torch.full((2, 2), expected))


@nd.optimizer
def doubled(lr=0.1):
    """By a first and a second sample: at the weights, at points, and along directions."""
    there = nd.gradient(fresh=True) + nd.gradient(at=W - G, fresh=True)
    curved = nd.hessian_product(G) + nd.hessian_product(G, fresh=True)
    return W - lr * (there + nd.gradient(at=W - G) + nd.loss_at(W, fresh=True) * curved)


def fresh_step(rule, first, second, **options):
    """Step a matrix of ones by two losses; return it, and how often each was called."""
    p, calls = nn.Parameter(torch.ones(2, 3, dtype=torch.float64)), [0, 0]
    opt = rule([p], **options)

    def closure(k, loss):
        calls[k] += 1
        opt.zero_grad()
        value = loss(p)
        value.backward(create_graph=True)
        return value

    opt.step(lambda: closure(0, first), fresh=lambda: closure(1, second))
    return p.detach(), calls


@pytest.mark.filterwarnings("ignore:Using backward.* with create_graph:UserWarning")
@pytest.mark.parametrize("schedule", [nd.exact, nd.Schedule(hessian=nd.Differences())], ids=str)
def test_a_fresh_sample_is_that_of_a_closure_of_its_own(schedule):
    def f(x):
        return (x**3).sum()

    def h(x):
        return (2 * x**4).sum() / 3

    found, calls = fresh_step(doubled, f, h, schedule=schedule)
    w = torch.ones(2, 3, dtype=torch.float64)
    g = 3 * w**2
    slopes = 8 / 3 * (w**3 + (w - g) ** 3) + 3 * (w - g) ** 2
    expected = w - 0.1 * (slopes + h(w) * (6 * w * g + 8 * w**2 * g))
    near = 1e-12 if schedule == nd.exact else 2e-3
    torch.testing.assert_close(found, expected, rtol=near, atol=0)
    if schedule == nd.exact:
        assert calls == [2, 2]  # both at W and at W − G
        assert doubled.cost(shape=(2, 3)).evaluations == 4
    pure = nd.functional(doubled, nd.exact)
    new, _ = pure.update(g, pure.init(w), w, objective=f, fresh_objective=h)
    torch.testing.assert_close(new, expected)


def test_a_fresh_sample_is_missed_and_named():
    p = nn.Parameter(torch.ones(2, 3))
    with pytest.raises(GradientError, match="fresh=other_closure"):
        doubled([p]).step(lambda: (p**2).sum().backward(create_graph=True))
    assert torch.equal(p, torch.ones(2, 3))
    pure = nd.functional(doubled)
    with pytest.raises(GradientError, match="fresh_objective=g"):
        pure.update(p, pure.init(p), p, objective=lambda x: (x**2).sum())
    with pytest.raises(nd.DeclarationError, match="one more of which"):
        nd.gradient(at=W, fresh="yes")


def test_a_fresh_gradient_is_typed_and_shown_as_another_ones():
    rule = nd.Declaration("rule", (), W - 0.1 * nd.gradient(at=W - 0.1 * G, fresh=True))
    assert "∇f′(W − 1/10 G)" in str(rule)
    assert r"\nabla f'" in rule._repr_latex_()
    assert rule.check("orthogonal").answer == "invariant"
    assert rule.check("scale").answer == "not invariant"
    apart = nd.Declaration("rule", (), W - nd.frobenius.lmo(G - nd.gradient(fresh=True)))
    assert apart.check("loss_scale").answer == "invariant"
    assert nd.gradient(fresh=True) != G
