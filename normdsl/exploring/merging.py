"""Which designs are one: equal normal forms, once norms are defined and identities applied."""

from __future__ import annotations

from collections.abc import Iterable

from normdsl.compiler.invariance.forms import Form
from normdsl.compiler.invariance.normal_form import normal_form
from normdsl.compiler.lowering.simplify import Simplification
from normdsl.exploring.designs import Design
from normdsl.expressions.expr import Expr
from normdsl.norms.base import NormOperation


class Meaning(Simplification):
    """Replaces norm operations by what defines them, and simplifies that."""

    def _visit(self, expr: Expr) -> Expr:
        return self(expr.definition) if isinstance(expr, NormOperation) else super()._visit(expr)


def merged(designs: Iterable[Design]) -> dict[str, str]:
    """Return which earlier design each is equal to, by name; those that are none's are left out."""
    meaning = Meaning()
    found: dict[Form, str] = {}
    equal: dict[str, str] = {}
    for design in designs:
        if design.rule is not None:
            first = found.setdefault(normal_form(meaning(design.rule.update)), design.name)
            if first != design.name:
                equal[design.name] = first
    return equal
