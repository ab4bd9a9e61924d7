"""Each rule of the checker broken in turn: a falsifier must notice, and be silent otherwise.

Three falsifiers look at a fault: every law of an expression at a random group element (`laws`), the
verdict on a rule against runs (`rule`), and answers known by theory (`answer`) for faults that lose
proofs, or that no run can show.
"""

import pytest
from mutants import MUTANTS
from mutants.common import Mutant

from normdsl.compiler.invariance import (
    agreement,
    index_rules,
    induction,
    mirror,
    rules,
    stacking,
    unit_equations,
)
from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr

#: Helpers that claim nothing: they make symbols or failures, or are covered by their callers.
WITHOUT_CLAIMS = {"unknown", "from_sympy", "_solved", "_turning", "_plain", "_raised"}


def noticed(mutant: Mutant) -> list[str]:
    """Return what gives a mutant away; one that breaks down gives itself away."""
    try:
        return mutant.falsifier(mutant.expr, mutant.group)
    except NormdslError as error:
        return [str(error)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_falsifier_notices(mutant):
    with mutant.fault.put():
        assert noticed(mutant) != []
    # It was the fault that it noticed, and the fault has left nothing behind.
    assert mutant.falsifier(mutant.expr, mutant.group) == []


def test_every_rule_is_broken():
    broken = {mutant.fault.target for mutant in MUTANTS}
    for dispatcher in (rules.rule, mirror.image):
        assert set(dispatcher.registry) - {object, Expr} <= broken


@pytest.mark.parametrize(
    "module",
    [index_rules, stacking, unit_equations, induction, agreement],
    ids=lambda m: m.__name__,
)
def test_every_helper_is_broken(module):
    broken = [mutant.fault.target for mutant in MUTANTS]
    helpers = {
        name
        for name, value in vars(module).items()
        if callable(value)
        and getattr(value, "__module__", "") == module.__name__
        and not isinstance(value, type)
        and not any(value is target for target in broken)
    }
    assert helpers <= WITHOUT_CLAIMS
