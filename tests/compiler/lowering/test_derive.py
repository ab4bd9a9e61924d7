"""Deriving: norms become primitives, recursions one step."""

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.derive import Derivation, Part, Singular, opened
from normdsl.graph import walk
from normdsl.nodes import SingularLmo, SingularNorm
from normdsl.norms.base import NormOperation
from normdsl.recursion import After, Before, Carry


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
