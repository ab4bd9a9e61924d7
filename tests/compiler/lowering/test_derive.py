"""Deriving: norms become primitives, recursions one step."""

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.derive import Derivation, opened
from normdsl.graph import walk
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
