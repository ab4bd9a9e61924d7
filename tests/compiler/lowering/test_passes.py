"""Passes: every one that changes a rule is shown, and every rewrite is an identity in numbers."""

import html

import proofs
import pytest
import torch
from taking_turns import in_turn

import normdsl as nd
from normdsl.compiler.lowering.passes import DECISIONS
from normdsl.compiler.lowering.plan import Rewriting
from normdsl.compiler.lowering.program import lower
from normdsl.expressions import nodes

RULES = in_turn(2)
REWRITING = [each.name for each in Rewriting().passes]


def roots(rule):
    return [rule.update, *rule.labels]


def next_weights(update):
    return update.weights if isinstance(update, nodes.Returned) else update


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_pass_that_changes_a_rule_is_shown(rule):
    found, rule = rule.passes(), rule.sized({})
    assert [stage.name for stage in found] == [*REWRITING, *(name for name, *_ in DECISIONS)]
    before = roots(rule)
    for number, stage in enumerate(found.stages[: len(REWRITING)]):
        rewrite = Rewriting(number + 1)
        after = [rewrite(x) for x in roots(rule)]
        names = {x.name for x in rewrite.passes[number].used}
        assert names or after == before or number == 0  # which opens recursions besides
        assert names == {x.name for x in stage.rewrites}
        assert all(f"  {name}: " in str(stage) for name in names)
        before = after
    assert next_weights(before[0]) == lower(rule, nd.Schedule()).update
    code = "\n".join(line[2:] for line in found["emit"].lines)
    assert code in lower(rule, nd.Schedule()).code


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_rewrites_of_a_rule_are_identities(rule):
    (simplify,) = (stage for stage in rule.passes() if stage.name == "simplify")
    pairs = [side for x in simplify.rewrites for side in (x.before, x.after)]
    probe = proofs.Probe(rule, pairs)
    streams = proofs.random_streams((3, 4), 0)
    hyper = {h.name: 0.3 for h in rule.hyper}
    for values in probe.run(streams, probe.start(streams[0][0], hyper), hyper):
        for before, after in zip(values[::2], values[1::2], strict=True):
            torch.testing.assert_close(*torch.broadcast_tensors(before, after))


def test_a_pass_tells_its_identities_by_name():
    told = str(nd.algorithms.shampoo.passes(nd.Schedule(root=nd.Eigh(), refresh=5)))
    for part in (
        "L⁻¹ᐟ⁸ (L⁻¹ᐟ⁸ G R⁻¹ᐟ⁴) = L⁻¹ᐟ⁴ G R⁻¹ᐟ⁴",
        "product_of_matrix_powers: S^a (S^b X) = S^(a+b) X",
        "power −¼: Eigh(), every 5 steps",
        "kept1 keeps L⁻¹ᐟ⁴",
        "W ← W − η L⁻¹ᐟ⁴ G R⁻¹ᐟ⁴",
    ):
        assert part in told


def test_what_is_shared_and_what_is_a_number():
    found = nd.algorithms.soap.passes()
    assert "  G Gᵀ, used 2 times" in found["share"].lines
    assert "  c = 1 − β₁" in nd.algorithms.adamw.passes()["numbers"].lines
    assert str(nd.algorithms.sign_sgd.passes()["numbers"]).endswith("\n  nothing")


def test_notebooks_unfold_each_pass():
    found = nd.algorithms.lion.passes()
    shown = found._repr_html_()
    assert shown.count("<details>") == len(found.stages)
    assert html.escape(str(found.rule)) in shown
    for stage in found:
        assert html.escape("\n".join(stage.lines)) in shown
