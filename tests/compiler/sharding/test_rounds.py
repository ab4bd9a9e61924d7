"""The order of a step that processes share: what crosses after which round."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, clipped_sgd, muon, shampoo, soap
from normdsl.compiler.lowering.program import lower
from normdsl.compiler.sharding.division import division
from normdsl.compiler.sharding.rounds import Rounds
from normdsl.compiler.sharding.setting import setting_of


def rounds(rule, cut="rows", **schedule):
    return Rounds(lower(rule, nd.Schedule(**schedule)), setting_of((64, 32), 8, cut))


def crossing(rule, cut="rows", **schedule):
    order = rounds(rule, cut, **schedule)
    return [(c.after, c.kind) for x in order.arrays.order for c in order.crosses(x)]


@pytest.mark.parametrize("rule", [muon, soap, shampoo])
def test_parts_get_to_owners_and_back_in_two_rounds(rule):
    assert crossing(rule) == [(0, "gathered"), (1, "scattered")]
    assert crossing(rule, refresh=5) == [(0, "gathered"), (1, "scattered")]
    assert rounds(rule, refresh=5).turn == (None if rule is muon else 1)


def test_what_is_entry_wise_takes_one_round():
    assert crossing(adamw) == []
    assert rounds(adamw).last == 0


def test_a_sum_is_one_only_in_the_next_round():
    order = rounds(nd.optimizer(lambda lr=0.1: W + lr * nd.frobenius.lmo(G)))
    (total,) = (x for x in order.arrays.order for c in order.crosses(x) if c.kind == "summed")
    assert (order[total], order[order.every[0]]) == (0, 1)
    assert not order.is_given(total, 0, owner=False)
    assert order.is_given(total, 1, owner=False)


def test_a_value_is_computed_in_the_round_that_first_needs_it():
    """The decayed weights, which stay where they are, wait for what comes back."""
    order = rounds(muon)
    assert {order[x] for x in order.arrays.order if not order.is_input(x)} == {0, 1, 2}
    parts = division(order.program, order.setting).rounds
    assert [(bool(x.shards), bool(x.owner)) for x in parts] == [
        (True, False),
        (False, True),
        (True, False),
    ]


def test_a_scalar_of_all_layers_is_surveyed_by_the_rounds_of_its_term():
    program = lower(clipped_sgd, nd.Schedule())
    for node in program.layers:
        order = Rounds(program, setting_of((64, 32), 8, "rows"), node)
        assert order.every == [node.arg]
        kinds = {c.kind for x in order.arrays.order for c in order.crosses(x)}
        assert kinds in ({"summed"}, {"bounded"})
