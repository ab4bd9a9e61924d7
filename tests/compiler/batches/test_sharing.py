"""One norm over a whole network: what several rules contribute to one scalar of all layers."""

import json

import pytest
import torch
from properties import refuses
from stepping import moved, parameter, train, values
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import sgd, sgd_momentum
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

MOST, ONE, TWO, THREE = (nd.lp(p) for p in (float("inf"), 1, 2, 3))
ONES = nd.zeros_like(G) + 1


def rule(update, name="rule"):
    return nd.Declaration(name, (), update)


def together(*pairs, **options):
    """Return one optimizer, each rule with its parameter."""
    groups = [{"params": [p], "rule": r, "name": f"g{k}"} for k, (r, p) in enumerate(pairs)]
    return DeclaredOptimizer(None, groups, **options)


def given(grad, dtype=torch.float64):
    p = nn.Parameter(torch.zeros(2, 2, dtype=dtype))
    p.grad = torch.tensor(grad, dtype=dtype)
    return p


def two(update, other, **options):
    """Return two parameters after a step; their dual norms are 2 (Frobenius) and 4 (max entry)."""
    a, b = given([[2.0, 0.0], [0.0, 0.0]]), given([[1.0, -1.0], [1.0, 1.0]])
    together((rule(update, "first"), a), (rule(other, "second"), b), **options).step()
    return a.detach(), b.detach()


def test_rules_with_a_norm_each_see_one_dual_norm():
    """Once: dual norms 2 and 4 and steps of 2 and 4, one norm for each rule."""
    norms = [nd.over_layers(base, MOST) for base in (nd.frobenius, nd.max_entry)]
    a, b = two(*(W + norm.dual(G) * ONES for norm in norms))
    assert torch.equal(a, torch.full_like(a, 6.0))
    assert torch.equal(b, torch.full_like(b, 6.0))
    a, b = two(*(W - norm.sharp(G) for norm in norms))
    assert float(a.norm()) == pytest.approx(6.0)
    assert float(b.abs().max()) == pytest.approx(6.0)


def spectral_lmo(g):
    u, _, v = torch.linalg.svd(g, full_matrices=False)
    return -(u @ v)


#: For each role its norm, its dual norm and its LMO.
ROLES = {
    "hidden": (nd.spectral, lambda g: float(torch.linalg.svdvals(g).sum()), spectral_lmo),
    "embedding": (nd.frobenius, lambda g: float(g.norm()), lambda g: -g / g.norm()),
    "head": (nd.max_entry, lambda g: float(g.abs().sum()), lambda g: -g.sign()),
}  # fmt: skip


def shares(p, duals):
    """Return the share of each layer in the LMO of a product norm by ℓp, and the dual norm."""
    d = torch.tensor(duals, dtype=torch.float64)
    if p == float("inf"):
        return torch.ones_like(d), d.sum()
    if p == 1:
        return (d == d.max()).double(), d.max()
    q = p / (p - 1)
    total = (d**q).sum() ** (1 / q)
    return (d / total) ** (q - 1), total


@pytest.mark.parametrize("p", [1, 2, 3, float("inf")])
@pytest.mark.parametrize("operation", ["lmo", "sharp"])
def test_the_modular_norm_of_three_roles_is_a_literal_loop(p, operation):
    shapes = {"hidden": (4, 3), "embedding": (5, 2), "head": (3, 4)}
    params = {role: [parameter(*s, seed=1), parameter(*s, seed=2)] for role, s in shapes.items()}
    expected = {role: [x.detach().clone() for x in xs] for role, xs in params.items()}
    averages = {role: [torch.zeros_like(x) for x in xs] for role, xs in params.items()}

    def declared(role):
        step = getattr(nd.over_layers(ROLES[role][0], nd.lp(p)), operation)(nd.ema(G, 0.9))
        return rule(W + (0.1 if operation == "lmo" else -0.1) * step, role)

    groups = [{"params": xs, "rule": declared(role)} for role, xs in params.items()]
    opt = DeclaredOptimizer(None, groups)
    for seed in range(3):
        train(opt, seed=seed)
        for role, xs in params.items():
            for m, x in zip(averages[role], xs, strict=True):
                m.mul_(0.9).add_(0.1 * x.grad)
        layers = [(role, k) for role in params for k in range(2)]
        duals = [ROLES[role][1](averages[role][k]) for role, k in layers]
        share, dual = shares(p, duals)
        factor = 0.1 * (1.0 if operation == "lmo" else dual)
        for (role, k), a in zip(layers, share, strict=True):
            expected[role][k] += factor * a * ROLES[role][2](averages[role][k])
    for role, xs in params.items():
        for x, y in zip(xs, expected[role], strict=True):
            torch.testing.assert_close(x.detach(), y)


def test_only_the_layer_with_the_largest_dual_moves_whichever_its_rule():
    norms = [nd.over_layers(base, ONE) for base in (nd.frobenius, nd.max_entry)]
    a, b = two(*(W + norm.lmo(G) for norm in norms))
    assert not a.any()
    assert torch.equal(b, torch.tensor([[-1.0, 1.0], [-1.0, -1.0]]).double())
    # Equal dual norms share the step.
    first, second = given([[2.0, 0.0], [0.0, 0.0]]), given([[1.0, 0.0], [0.0, -1.0]])
    pairs = zip(norms, (first, second), strict=True)
    together(*((rule(W + norm.lmo(G)), p) for norm, p in pairs)).step()
    assert float(first.detach().norm()) == 0.5
    assert float(second.detach().abs().max()) == 0.5


def test_a_rule_that_reads_the_dual_alone_takes_part_in_it():
    """The largest dual is that of a rule without an LMO: the others do not move."""
    norms = [nd.over_layers(base, ONE) for base in (nd.frobenius, nd.max_entry)]
    a, b = two(W + norms[0].lmo(G), W + norms[1].dual(G) * ONES)
    assert not a.any()
    assert torch.equal(b, torch.full_like(b, 4.0))


def test_named_scalars_are_one_whatever_rules_contribute():
    square, entries = nd.inner(G, G), nd.sum(nd.abs(G))
    for reduce, total in ((nd.sum, 8.0), (nd.max, 4.0)):
        first = W + reduce(square, over="layers", name="total") * ONES
        a, b = two(first, W + reduce(entries, over="layers", name="total") * ONES)
        assert a[0, 0] == b[0, 0] == total


def test_scalars_without_a_name_are_one_where_the_expression_is():
    square, entries = nd.inner(G, G), nd.sum(nd.abs(G))
    a, b = two(*(W + nd.sum(x, over="layers") * ONES for x in (square, entries)))
    assert (float(a[0, 0]), float(b[0, 0])) == (4.0, 4.0)
    a, b = two(W + nd.sum(square, over="layers") * ONES, W - nd.sum(square, over="layers") * ONES)
    assert (float(a[0, 0]), float(b[0, 0])) == (8.0, -8.0)


def test_a_sum_and_a_maximum_of_one_name_are_two():
    first = W + nd.sum(nd.inner(G, G), over="layers", name="x") * ONES
    a, b = two(first, W + nd.max(nd.inner(G, G), over="layers", name="x") * ONES)
    assert a[0, 0] == b[0, 0] == 4.0


def test_rules_clip_by_one_factor_whatever_their_norms():
    first = sgd.on_gradient(lambda g: nd.clip(g, 1.0, over="layers"))
    second = sgd_momentum.on_gradient(lambda g: nd.clip(g, 2.0, norm=nd.max_entry, over="layers"))
    a, b = given([[3.0, 0.0], [0.0, 0.0]]), given([[4.0, -4.0], [4.0, 4.0]])
    groups = [{"params": [a], "rule": first(lr=1.0)}, {"params": [b], "rule": second(lr=1.0)}]
    DeclaredOptimizer(None, groups).step()
    assert float(a.detach().norm()) == pytest.approx(3 / 5)
    assert float(b.detach().abs().max()) == pytest.approx(4 * 2 / 5)


def test_a_norm_averaged_by_one_rule_is_that_of_all():
    norms = [nd.over_layers(base, MOST) for base in (nd.frobenius, nd.max_entry)]
    a, b = two(W + nd.ema(norms[0].dual(G), 0.5) * ONES, W + norms[1].dual(G) * ONES)
    assert (float(a[0, 0]), float(b[0, 0])) == (3.0, 6.0)


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_layer_without_a_finite_gradient_is_none(nonfinite):
    norms = [nd.over_layers(base, MOST) for base in (nd.frobenius, nd.max_entry)]
    a, b = given([[2.0, 0.0], [0.0, 0.0]]), given([[float("nan"), 0.0], [0.0, 0.0]])
    pairs = zip(norms, (a, b), strict=True)
    opt = together(*((rule(W - n.sharp(G)), p) for n, p in pairs), nonfinite=nonfinite)
    if nonfinite == "raise":
        with refuses(nd.GradientError, "nothing was changed"):
            opt.step()
        assert not a.any()
    else:
        opt.step()
        assert float(a.detach().norm()) == 2.0
    assert not b.any()


def test_dtypes_of_rules_meet_in_the_widest():
    norms = [nd.over_layers(base, MOST) for base in (nd.frobenius, nd.max_entry)]
    a = given([[1.0, 0.0], [0.0, 0.0]], torch.bfloat16)
    b = given([[2.0**-30, 0.0], [0.0, 0.0]])
    pairs = zip(norms, (a, b), strict=True)
    together(*((rule(W + n.dual(G) * ONES), p) for n, p in pairs)).step()
    assert a.dtype == torch.bfloat16
    assert float(b.detach()[0, 0]) == 1 + 2.0**-30


def test_a_schedule_of_one_rule_does_not_part_it_from_others():
    root = nd.matrix_power(nd.ema(G @ G.T, 0.9), -1 / 4)
    norm = nd.over_layers(nd.preconditioned(nd.frobenius, left=root), MOST)
    steps = []
    for schedule in (nd.Schedule(), nd.Schedule(refresh=1, state={})):
        a, b = parameter(3, 3, seed=1), parameter(2, 4, seed=2)
        plain = rule(W - nd.over_layers(nd.max_entry, MOST).sharp(G))
        groups = [{"params": [a], "rule": rule(W - norm.sharp(G)), "schedule": schedule}]
        before = values([a, b])
        train(DeclaredOptimizer(None, [*groups, {"params": [b], "rule": plain}]), 3)
        steps.append(moved([a, b], before))
    assert steps[0] == pytest.approx(steps[1])


LAYERED = nd.over_layers(nd.frobenius, TWO)
REFUSED = {
    "two gauges": (
        W + LAYERED.lmo(G), W + nd.over_layers(nd.max_entry, ONE).lmo(G),
        "first by 2; second by 1",
    ),
    "two duals in one rule": (
        W + LAYERED.lmo(G), W + LAYERED.dual(G) * LAYERED.lmo(nd.ema(G, 0.9)),
        "second has 2 scalars for it",
    ),
    "two scalars of one name": (
        W + nd.sum(1, over="layers", name="n") * nd.sum(nd.rows, over="layers", name="n") * G,
        W - G,
        "first has 2 scalars for it",
    ),
    "of another sign": (
        W + nd.sqrt(nd.sum(nd.inner(G, G), over="layers", name="n")) * G,
        W + nd.sum(nd.inner(G, W), over="layers", name="n") * G,
        "is known to be ≥ 0",
    ),
    "weights and gradients": (
        W + LAYERED.value(W) * G, W + LAYERED.value(G) * G, "depends on gradients",
    ),
    "in a circle": (
        W + LAYERED.lmo(nd.clip(G, 1, over="layers")),
        W + nd.clip(LAYERED.lmo(G), 1, over="layers"),
        "neither can be computed first",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("first", "second", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_may_be_one_or_two_is_refused_when_the_optimizer_is_made(first, second, why):
    a, b = parameter(2, 2), parameter(2, 2)
    with refuses(nd.DeclarationError, why):
        together((rule(first, "first"), a), (rule(second, "second"), b))


def test_a_group_that_is_refused_is_not_added():
    opt = together((rule(W + LAYERED.lmo(G)), parameter(2, 2)))
    other = rule(W + nd.over_layers(nd.max_entry, ONE).lmo(G))
    with refuses(nd.DeclarationError, "two gauges"):
        opt.add_param_group({"params": [parameter(2, 2)], "rule": other})
    assert len(opt.param_groups) == 1


def test_names_keep_norms_apart():
    norms = [
        nd.over_layers(nd.frobenius, TWO, name="hidden"),
        nd.over_layers(nd.max_entry, ONE, name="head"),
    ]
    a, b = two(*(W + norm.dual(G) * ONES for norm in norms))
    assert (float(a[0, 0]), float(b[0, 0])) == (2.0, 4.0)
    a, b = two(*(W + nd.over_layers(n.base, TWO, name="x").dual(G) * ONES for n in norms))
    assert float(a[0, 0]) == float(b[0, 0]) == pytest.approx(20**0.5)


def test_rules_with_the_same_scalars_share_each():
    both = LAYERED.dual(G) * ONES + LAYERED.dual(2 * G) * G
    a, b = given([[3.0, 0.0], [0.0, 0.0]]), given([[4.0, 0.0], [0.0, 0.0]])
    together((rule(W + both, "up"), a), (rule(W - both, "down"), b)).step()
    assert float(a[0, 0]) == pytest.approx(5 + 10 * 3)
    assert float(b[0, 0]) == pytest.approx(-(5 + 10 * 4))


@pytest.mark.parametrize("name", ["", "two words", 3])
def test_a_name_is_a_word(name):
    for build in (lambda: nd.over_layers(nd.frobenius, TWO, name=name),
                  lambda: nd.sum(1, over="layers", name=name)):  # fmt: skip
        with refuses(nd.DeclarationError, "a name is a word"):
            build()


def test_a_name_without_layers_is_refused():
    with refuses(nd.DeclarationError, "name a reduction over 'rows'"):
        nd.sum(G, over="rows", name="total")


def test_the_explanation_says_who_contributes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].weight.requires_grad_(False)
    hidden = rule(W - nd.over_layers(nd.spectral, MOST).sharp(G), "inside")
    head = rule(W - nd.over_layers(nd.max_entry, MOST).sharp(G), "outside")
    own = W - nd.sum(nd.inner(G, G), over="layers") * G
    opt = nd.route(model, hidden=hidden, head=head, vector=rule(own, "vectors"))
    told = sorted(str(share) for share in opt.explain().shares)
    assert told == [
        "dual norm of all layers by ∞: inside (1.weight), outside (2.weight)",
        "sum[layers](‖G‖_F²): vectors (0.bias, 1.bias, 2.bias)",
    ]
    assert all(line in str(opt.explain()) for line in told)
    assert not nd.route(model, sgd).explain().shares


def test_a_named_norm_is_written_saved_and_compared_with_its_name():
    norm = nd.over_layers(nd.spectral, TWO, name="hidden")
    total = nd.sum(nd.inner(G, G), over="layers", name="total_2")
    assert str(norm) == "‖‖X‖₂‖_layers 2 hidden"
    assert str(total) == "sum[layers: total₂](‖G‖_F²)"
    assert total != nd.sum(nd.inner(G, G), over="layers")
    declared = rule(W + total * norm.lmo(G) + norm.dual(G).definition * G)
    assert nd.from_json(nd.to_json(declared)) == declared
    text = nd.to_json(rule(W + nd.over_layers(nd.spectral, TWO).lmo(G)))
    older = json.loads(text)
    for node in older["nodes"]:
        node.get("norm", {}).pop("name", None)
    assert nd.from_json(json.dumps(older)) == nd.from_json(text)


def test_a_state_is_loaded_whatever_its_rule_calls_what_layers_share():
    """Names were not always there, and say nothing about states."""

    def made(name):
        total = nd.over_layers(nd.frobenius, TWO, name)
        return together((rule(W + total.lmo(nd.ema(G, 0.9))), parameter(3, 2)))

    saved = train(made(None), 2).state_dict()
    opt = made("clip")
    opt.load_state_dict(saved)
    (state,) = opt.state.values()
    assert float(state["step"]) == 2


def test_what_is_zero_in_one_rule_is_not_zero_in_all_layers():
    @nd.optimizer
    def mine(lr=1.0, scale=0.0):
        return W - lr * nd.over_layers(nd.max_entry, MOST).dual(scale * G) * ONES + G

    a, b = given([[2.0, 0.0], [0.0, 0.0]]), given([[1.0, 0.0], [0.0, 0.0]])
    first = rule(W + nd.over_layers(nd.frobenius, MOST).dual(G) * ONES)
    together((first, a), (mine.bind(scale=0.0, lr=1.0), b)).step()
    assert (float(a[0, 0]), float(b[0, 0])) == (2.0, -1.0)
