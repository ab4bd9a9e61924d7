"""Printing: every node has a lowering, and one without says so."""

import pytest

import normdsl as nd
from normdsl import G
from normdsl.compiler.lowering.emit import Emitter
from normdsl.compiler.lowering.printer import Printer
from normdsl.compiler.runtime.values import Known
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Joint, SingularLmo, SingularNorm, WorkersMean
from normdsl.expressions.recursion import Carry, Placeholder, State
from normdsl.norms.base import NormOperation
from normdsl.schedules.schedule import Schedule


def concrete(cls):
    below = {x for sub in cls.__subclasses__() for x in concrete(sub)}
    return below | ({cls} if not getattr(cls, "__abstractmethods__", None) else set())


def test_every_primitive_node_has_a_lowering():
    known = set(vars(Printer)["_write"].dispatcher.registry) - {object, Expr}
    derived = {Carry, Placeholder, *concrete(State), *concrete(NormOperation)}
    derived |= {SingularLmo, SingularNorm}
    given = {Across, Joint, WorkersMean}  # of a joint result, each part is lowered
    missing = [
        c.__name__
        for c in concrete(Expr) - derived - given - {Known}  # which has a name in the code
        if c.__module__.startswith("normdsl") and not any(issubclass(c, k) for k in known)
    ]
    assert missing == []


def test_a_node_without_a_lowering_is_named():
    with pytest.raises(TypeError, match="no lowering for the node SingularNorm"):
        Emitter({}, {}, Schedule())(nd.nuclear.value(G).definition)


def test_a_printer_alone_does_not_know_names():
    with pytest.raises(TypeError, match="abstract"):
        Printer()
