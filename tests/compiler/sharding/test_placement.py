"""How values are held by processes: inferred from shapes and footprints, refused, and falsified."""

import pytest
import torch
from ranks import on_ranks
from torch import distributed, nn
from torch.distributed.tensor import Shard, distribute_tensor

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.plan import Rewriting
from normdsl.compiler.sharding import cut
from normdsl.compiler.sharding.placement import Held, Placement, placement
from normdsl.expressions.shapes import Dim

ROWS, COLS, BOTH, NONE = (frozenset(x) for x in ({Dim.M}, {Dim.N}, {Dim.M, Dim.N}, ()))
PARTS, SAME = Placement(Held.PARTS), Placement(Held.SAME)


def terms(*over):
    return Placement(Held.TERMS, frozenset(over))


def bounds(*over):
    return Placement(Held.BOUNDS, frozenset(over))


L, R = G @ G.T, G.T @ G
#: An expression, and how it is held where rows, columns, both or nothing are cut; None: by no one.
TABLE = {
    "entries": (G * W + 1, PARTS, PARTS, PARTS, SAME),
    "row sums": (nd.sum(G, over="cols"), PARTS, terms(Dim.N), terms(Dim.N), SAME),
    "column maxima": (nd.max(G, over="rows"), bounds(Dim.M), PARTS, bounds(Dim.M), SAME),
    "inner product": (nd.inner(G, W), terms(Dim.M), terms(Dim.N), terms(Dim.M, Dim.N), SAME),
    "Gram matrix of rows": (L, None, terms(Dim.N), None, SAME),
    "Gram matrix of columns": (R, terms(Dim.M), None, None, SAME),
    "product with a square": (L @ G, None, PARTS, None, SAME),
    "transposed": (G.T, PARTS, PARTS, PARTS, SAME),
    "broadcast": (G / nd.sum(G * G, over="cols"), PARTS, PARTS, PARTS, SAME),
    "quantile of rows": (nd.quantile(nd.abs(G), 0.5, over="cols"), PARTS, None, None, SAME),
    "block mean": (nd.block_mean(G, rows=2, cols=2), None, None, None, SAME),
    "factorisation": (nd.polar(G), None, None, None, None),
    "root of a statistic": (nd.matrix_power(R, -1 / 2), None, None, None, None),
    "all entries": (nd.vec(G), None, None, None, SAME),
    "random entries": (nd.normal_like(W), PARTS, PARTS, PARTS, SAME),
    "cosines": (nd.dct_basis(nd.cols), SAME, None, None, SAME),
}


def derived(expr):
    return Rewriting()(expr)


@pytest.mark.parametrize("name", TABLE)
def test_placements_follow_from_shapes_and_footprints(name):
    expr, *expected = TABLE[name]
    found = [placement(derived(expr), axes) for axes in (ROWS, COLS, BOTH, NONE)]
    assert found == expected


def test_a_norm_is_a_function_of_a_sum_of_terms():
    """‖X‖ of a part is no part of ‖X‖: what is summed is a node of its own, before the root."""
    root = derived(nd.frobenius.value(G))
    inner = next(x for x in _below(root) if isinstance(x, nd.Expr) and "‖G‖_F²" in str(x))
    assert placement(inner, ROWS) == terms(Dim.M)


def _below(x):
    yield x
    for child in x.children:
        yield from _below(child)


@pytest.mark.parametrize("cut", ["rows", "cols", "both"])
@pytest.mark.parametrize(
    "norm", [nd.frobenius, nd.max_entry, nd.sum_entries, nd.operator_norm(1, 2), nd.entrywise(3)]
)
def test_no_norm_of_a_part_is_computed(norm, cut):
    """What a norm goes over is summed over all, and no owner is asked for it."""
    rule = nd.optimizer(lambda lr=0.1: W - lr * norm.sharp(G) * norm.value(W))
    plan = rule.plan((6, 4), 3, cut)
    whole = rule.plan((6, 4), 3, "none")
    assert not whole.sent
    sums = [x for x in plan.sent if "over all" in x.how]
    assert sums
    assert not plan.owner


def test_a_wrong_placement_gives_another_step(monkeypatch):
    """The falsifier bites: a sum that is taken for what each process has of it is noticed."""
    weights, grads = torch.arange(6.0).reshape(3, 2), torch.ones(3, 2)

    def stepped(rule):
        def body(_):
            mesh = distributed.device_mesh.init_device_mesh("cpu", (2,))
            p, g = (distribute_tensor(x, mesh, [Shard(0)], src_data_rank=None) for x in both)
            param = nn.Parameter(p)
            param.grad = g
            rule([param]).step()
            return param.full_tensor().detach()

        both = weights.clone(), grads.clone()
        return on_ranks(2, body)[0]

    right = weights - 0.1 * grads / 6**0.5
    assert torch.allclose(stepped(nd.optimizer(lambda lr=0.1: W + lr * nd.frobenius.lmo(G))), right)

    def each_alone(x, axes):
        found = placement(x, axes)
        return found if found is None or not found.is_reduced else SAME

    monkeypatch.setattr(cut, "placement", each_alone)
    other = nd.optimizer(lambda rate=0.1: W + rate * nd.frobenius.lmo(G))  # not yet divided
    assert not torch.allclose(stepped(other), right)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"cut": "row"}, "rows"),
        ({"processes": 0}, "one process or more"),
        ({"matrices": 0}, "one matrix or more"),
        ({"replicas": 3}, "divides processes=8"),
        ({"replicas": 2, "cut": "none"}, "each process has all"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_words(asked, word):
    with pytest.raises(nd.HyperparameterError, match=word):
        nd.algorithms.muon.plan(**asked)


def test_replicas_do_not_raise_what_a_process_sends_beyond_a_bound():
    """It sends its share to its owner, what it owns to its replica, and a sum along replicas."""
    plans = [nd.algorithms.muon.plan((64, 32), 4 * r, replicas=r) for r in (1, 2, 64, 1024)]
    assert all(x.share < 2 * 3 / 4 / 4 + 2 / 4 for x in plans)
    assert "rows cut among 4 processes, in each of 1024 replicas" in str(plans[-1])
    assert [x.collectives for x in plans] == [2, 3, 3, 3]


def test_a_plan_is_read_before_anything_runs():
    plan = nd.algorithms.soap.plan((4096, 1024), processes=256)
    assert next((x.what, x.how) for x in plan.sent) == ("G", "parts → owner")
    assert {where for _, _, where in plan.states} == {"at the owner"}
    assert "soap: W 4096×1024, rows cut among 256 processes" in str(plan)
