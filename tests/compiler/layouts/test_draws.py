"""Random draws: what replicas, resumed runs, batches and views draw, and what they leave alone."""

import copy

import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.layouts.draws import hashed, origin


@nd.optimizer
def langevin(lr=0.1):
    return W - lr * (G + nd.normal_like(G))


@nd.optimizer
def sketched(lr=0.1):
    """Draws of every shape, at the start of a state as well."""
    m = nd.fix(lambda s: 0.9 * s + G, nd.normal_like(G, key=1))
    rows = nd.normal_like(nd.sum(G, over="cols"))
    mixed = nd.signs_like(G @ G.T) @ m @ nd.normal_like(G.T @ G)
    column = nd.signs_like(nd.sum(G, over="rows"))
    return W - lr * (mixed + rows * G * column + nd.normal_like(nd.sum(G)) * nd.signs_like(G.T).T)


TOTAL = nd.over_layers(nd.frobenius, nd.lp(2))


@nd.optimizer
def joined(lr=0.1):
    g = G + nd.normal_like(G)
    return W - lr * g * nd.reciprocal(TOTAL.value(g))


RULES = [langevin, sketched, joined]


def parameters(*shapes):
    return [nn.Parameter(torch.zeros(shape)) for shape in shapes or [(3, 4), (3, 4), (4, 3), (5,)]]


def step(opt, steps=1):
    for _ in range(steps):
        for group in opt.param_groups:
            for p in group["params"]:
                p.grad = torch.ones_like(p)
        opt.step()
    return [p.detach() for group in opt.param_groups for p in group["params"]]


def matrices():
    return parameters((3, 4), (3, 4), (4, 3))


def same(ours, theirs):
    return all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_replicas_agree_and_the_models_numbers_stay(rule):
    """Once: Drawn from the global generator, replicas drifted apart by their own seeds."""
    torch.manual_seed(1)
    first = step(rule(matrices()), 3)
    assert float(torch.rand(())) == float(torch.rand((), generator=_seeded(1)))
    torch.manual_seed(2)
    assert same(step(rule(matrices()), 3), first)
    assert not any(torch.equal(x, first[0]) for x in first[1:2])


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_resumed_run_is_bit_for_bit(rule, tmp_path):
    whole = step(rule(matrices(), seed=7), 4)
    params = matrices()
    opt = rule(params, seed=7)
    step(opt, 2)
    torch.save(opt.state_dict(), tmp_path / "state.pt")
    twins = [nn.Parameter(p.detach().clone()) for p in params]
    fresh = rule(twins)
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert fresh.param_groups[0]["seed"] == 7
    assert same(step(fresh, 2), whole)
    copied = copy.deepcopy(opt)
    assert same(step(copied, 2), whole)


def test_a_state_saved_without_a_seed_loads():
    opt = langevin(matrices(), seed=3)
    step(opt)
    state = opt.state_dict()
    del state["param_groups"][0]["seed"]
    opt.load_state_dict(state)
    assert opt.param_groups[0]["seed"] == 3
    older = langevin(matrices(), seed=3)
    del older.param_groups[0]["seed"]  # as in its pickle
    assert same(step(older), step(langevin(matrices())))


def test_seeds_parameters_and_steps_have_numbers_of_their_own():
    drawn = [
        step(langevin(parameters((30, 40), (30, 40)), seed=s), k) for s in (0, 1) for k in (1, 2)
    ]
    noises = [(x + 0.1 * k) for k, run in zip((1, 2, 1, 2), drawn, strict=True) for x in run]
    noises[2], noises[3] = noises[2] - noises[0], noises[3] - noises[1]  # of the second step
    noises[6], noises[7] = noises[6] - noises[4], noises[7] - noises[5]
    together = torch.stack([x.flatten() for x in noises])
    correlation = torch.corrcoef(together) - torch.eye(len(noises))
    assert float(correlation.abs().max()) < 6 / 1200**0.5
    torch.testing.assert_close(together.std(1), torch.full((8,), 0.1), rtol=0.15, atol=0)


def test_groups_have_seeds_of_their_own_and_illegal_ones_are_refused():
    one, other = parameters((3, 3), (3, 3))
    opt = langevin([{"params": [one]}, {"params": [other], "seed": 5}], seed=2)
    assert [group["seed"] for group in opt.param_groups] == [2, 5]
    alone = langevin(parameters((3, 3)), seed=2)
    assert torch.equal(step(opt)[0], step(alone)[0])
    for bad in (1.5, "a", None, torch.tensor(1)):
        with pytest.raises(nd.HyperparameterError, match="seed"):
            langevin(parameters(), seed=bad)


@pytest.mark.parametrize("seed", [-1, 2**64 + 5, 10**30])
def test_every_whole_number_is_a_seed(seed):
    assert same(step(langevin(matrices(), seed=seed)), step(langevin(matrices(), seed=seed)))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_batches_draw_what_parameters_alone_do(rule, monkeypatch):
    together = step(rule(matrices()), 2)
    monkeypatch.setattr("normdsl.compiler.runtime.plan.LARGEST", 1)
    alone = step(rule(matrices()), 2)
    for x, y in zip(together, alone, strict=True):
        torch.testing.assert_close(x, y)


def test_a_view_draws_the_same_numbers():
    def moved(view, shape=(6, 4)):
        return step(langevin(parameters(shape), view=view))[0]

    assert torch.equal(moved(nd.views.split(2, 2, 2)), moved(None))
    conv = (4, 3, 2, 2)
    assert torch.equal(moved(nd.views.flat, conv), moved(nd.views.stack, conv))
    assert torch.equal(moved(None, conv), moved(nd.views.flat, conv))


def test_pieces_of_a_parameter_have_the_numbers_of_their_rows():
    @nd.optimizer
    def by_rows(lr=1.0):
        return W - lr * nd.normal_like(nd.sum(G, over="cols")) * G

    def moved(view):
        return step(by_rows(parameters((6, 4)), view=view))[0]

    assert torch.equal(moved(nd.views.split(2, 4)), moved(None))


def test_names_are_kept_when_parameters_are_reordered():
    def run(order, grouped=False):
        named = dict(zip("abc", matrices(), strict=True))
        told = [(name, named[name]) for name in order]
        opt = langevin([{"params": [x]} for x in told] if grouped else told)
        step(opt, 2)
        return [named[name].detach() for name in "abc"]

    assert same(run("abc"), run("cab"))
    assert same(run("abc"), run("bca", grouped=True))
    assert not torch.equal(run("abc")[0], step(langevin(matrices()), 2)[0])


def test_positions_count_over_all_groups():
    params = matrices()
    apart = langevin([{"params": params[:1]}, {"params": params[1:]}])
    assert same(step(apart), step(langevin(matrices())))


def test_a_route_draws_by_names():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = [p.detach().clone() for p in model.parameters()]
    step(nd.route(model, hidden=langevin, head=langevin, vector=langevin, seed=4))
    routed = [p.detach() - w for p, w in zip(model.parameters(), before, strict=True)]
    twins = [(n, nn.Parameter(w.clone())) for (n, _), w in
             zip(model.named_parameters(), before, strict=True)]  # fmt: skip
    step(langevin(twins, seed=4))
    for x, (_, p), w in zip(routed, twins, before, strict=True):
        torch.testing.assert_close(x, p.detach() - w)


def test_the_pure_form_draws_what_the_optimizer_does():
    pure, params = nd.functional(sketched), matrices()
    named = {f"layer.{k}": p.detach().clone() for k, p in enumerate(params)}
    for tree, given in (
        (dict(named), [(name, nn.Parameter(x.clone())) for name, x in named.items()]),
        ({"layer": list(named.values())}, [(n, nn.Parameter(x.clone())) for n, x in named.items()]),
        (list(named.values()), matrices()),
    ):
        leaves = torch.utils._pytree.tree_map(torch.ones_like, tree)
        state = pure.init(tree, seed=3)
        for _ in range(2):
            tree, state = pure.update(leaves, state, tree)
        assert same(torch.utils._pytree.tree_leaves(tree), step(sketched(given, seed=3), 2))


def test_a_seed_is_a_state_of_the_pure_form():
    pure, w = nd.functional(langevin), torch.zeros(3, 4)

    def walk(seed):
        state, at = pure.init(w, seed=seed), w
        for _ in range(3):
            at, state = pure.update(w, state, at)
        return at

    chains = torch.func.vmap(walk)(torch.arange(4))
    assert same(chains, [walk(k) for k in range(4)])
    assert len({float(x[0, 0]) for x in chains}) == 4
    assert "seed" not in nd.functional(nd.algorithms.adamw).init(w, seed=5)


def test_skipped_steps_draw_again_and_graphs_may_be_captured():
    bad, good = (parameters((3, 3))[0] for _ in range(2))
    opt, other = langevin([bad], capturable=True), langevin([good])
    bad.grad = torch.full((3, 3), torch.nan)
    opt.step()
    assert same(step(opt), step(other))


def test_a_schedule_is_judged_by_the_same_numbers():
    grads = [torch.randn(3, 4, generator=_seeded(k)) for k in range(3)]
    assert max(nd.schedule_error(langevin, nd.Schedule(), grads)) < 1e-5


def test_complex_parameters_and_biases_draw():
    params = [nn.Parameter(torch.zeros(3, dtype=torch.complex64)), *parameters((), (5,))]
    moved = step(langevin(params))
    parts = torch.view_as_real(moved[0]).flatten()
    assert len(set(parts.tolist())) == 6


def test_names_have_numbers_of_their_own():
    names = [f"layers.{k}.{part}" for k in range(200) for part in ("weight", "bias")]
    assert len({hashed(name) for name in [*names, *map(str, range(1000))]}) == 1400
    assert all(-(2**63) <= hashed(name) < 2**63 for name in names)
    assert hashed("") == 0xCBF29CE484222325 - 2**64
    assert hashed("a") == 0xAF63DC4C8601EC8C - 2**64  # as published with FNV-1a
    device = torch.device("cpu")
    assert torch.equal(origin(-3, "a", device), origin(torch.tensor(-3), "a", device))


def test_the_compiled_pure_form_draws_the_same_inside_autocast():
    pure, tree = nd.functional(sketched), {"a": torch.zeros(3, 4), "b": torch.zeros(3, 4)}
    grads = {name: torch.ones_like(x) for name, x in tree.items()}
    state = pure.init(tree, seed=2)
    expected, _ = pure.update(grads, state, tree)
    with torch.autocast("cpu", torch.bfloat16):
        traced = torch.compile(pure.update, fullgraph=True, backend="aot_eager")
        found, after = traced(grads, state, tree)
    assert int(after["seed"]) == 2
    for name, x in expected.items():
        torch.testing.assert_close(found[name], x)
