"""Deriving: norms become primitives, recursions one step."""

import pytest
import torch
from pairwise import rotated

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.derive import Derivation, Part, Singular, opened
from normdsl.expressions.nodes import SingularLmo, SingularNorm
from normdsl.expressions.recursion import After, Before, Carry
from normdsl.expressions.traversal import walk
from normdsl.norms.base import NormOperation


def test_no_norm_operation_and_no_state_after_the_step_is_left():
    derive = Derivation()
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.ema(G * G, 0.9)))
    graph = derive(W + norm.lmo(nd.ema(G, 0.9)) * norm.dual(G))
    left = [x for x in walk(graph) if isinstance(x, NormOperation)]
    assert left == []
    assert len(derive.slots) == 2

    def outside(x):
        return [] if isinstance(x, Before) else [x, *(y for c in x.children for y in outside(c))]

    assert not any(isinstance(x, After | Carry) for x in outside(graph))


def test_opening_a_state_gives_its_new_value_over_old_ones():
    m = nd.accumulate(G)
    assert opened(m) == Before(m.recursion, 0) + G


def test_a_nested_recursion_keeps_its_own_states():
    inner = nd.accumulate(G)
    outer = nd.accumulate(inner)
    derive = Derivation()
    derive(outer)
    assert set(derive.slots) == {Before(inner.recursion, 0), Before(outer.recursion, 0)}


def test_norms_of_singular_values_become_gauges_of_them():
    derive = Derivation()
    graph = derive(nd.ky_fan(2).lmo(G) * nd.schatten(3).value(G))
    assert not any(isinstance(x, SingularNorm | SingularLmo) for x in walk(graph))
    parts = [x for x in walk(graph) if isinstance(x, Singular)]
    assert {x.part for x in parts} == set(Part)
    assert {str(x.shape) for x in parts} == {"m×min(m, n)", "min(m, n)×1", "min(m, n)×n"}
    assert next(x for x in parts if x.part is Part.VALUES).facts.nonnegative


BLEND = nd.max_of(nd.spectral, 2 * nd.max_entry)
LEFT = nd.preconditioned(nd.spectral, left=nd.matrix_power(nd.ema(G @ G.T, 0.9), 1 / 4))
ENTRIES = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.ema(G * G, 0.9)))
DUALS = {
    "spectral": nd.spectral.dual(G),
    "RMS to RMS": nd.rms_to_rms.dual(G),
    "Ky Fan": nd.ky_fan(2).dual(G),
    "preconditioned": LEFT.dual(G),
    "preconditioned by entries": ENTRIES.dual(G),
    "maximum of two": BLEND.dual(G),
    "infimal": nd.infimal(nd.spectral, 2 * nd.max_entry).value(G),
    "all layers": nd.over_layers(nd.spectral, nd.lp(2)).dual(G),
}
USES = {
    "root": lambda d: nd.sqrt(d) * nd.polar(G),
    "negative power": lambda d: d**-0.5 * nd.polar(G),
    "logarithm": lambda d: nd.log(1 + d) * nd.polar(G),
    "in an average": lambda d: nd.sqrt(nd.ema(d, 0.9)) * G,
    "multiple of a definite matrix": lambda d: nd.matrix_power(d * (G @ G.T), 1 / 2) @ G,
    "weight of a norm": lambda d: (nd.sqrt(d) * nd.spectral).lmo(G),
    "smaller of two": lambda d: nd.sqrt(nd.minimum(1, d)) * G,
    "beside its own definition": lambda d: d.definition * G + nd.sqrt(d) * G,
    "beside the same, written out": lambda d: nd.inner(W, W) * G + nd.log(1 + d + d * d) * G,
}


@pytest.mark.parametrize(("dual", "use"), rotated(DUALS, USES, 4))
def test_a_rule_that_can_be_written_can_be_checked_and_run(dual, use):
    """What takes the place of a norm is known to be ≥ 0, as the norm is."""
    rule = nd.optimizer(lambda lr=0.1: W - lr * USES[use](DUALS[dual]))
    assert rule.check("transpose", witnesses=False).answer in ("invariant", "unknown")
    weights = torch.nn.Parameter(torch.ones(3, 4))
    weights.grad = torch.arange(12.0).reshape(3, 4).cos()
    rule([weights]).step()
    assert bool((weights != 1).any())
