"""What a verdict depends on: equations on hyper-parameters, and named assumptions."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs
import sympy

from normdsl.expr import Expr
from normdsl.show.text import text


class Kind(enum.Enum):
    """A property of a run, at its start and at every step, that no hyper-parameter decides."""

    TRANSPORTED = "{} starts transformed along with the weights"
    FULL_RANK = "{} has full rank"
    DISTINCT = "{} has distinct eigenvalues"


@attrs.frozen
class Assumption:
    """A named assumption on an expression."""

    kind: Kind
    of: Expr


Condition: TypeAlias = Any  # an equation (sympy.Basic, untyped) or an Assumption
Conditions = frozenset[Condition]
NONE: Conditions = frozenset()


def show(conditions: Iterable[Condition], names: Mapping[Expr, str]) -> str:
    """Return conditions as a phrase: equations first, then one clause per kind of assumption."""
    listed = list(conditions)
    assumed = [c for c in listed if isinstance(c, Assumption)]
    clauses = sorted(_equation(c) for c in listed if not isinstance(c, Assumption))
    for kind in Kind:
        about = sorted({text(c.of, names) for c in assumed if c.kind is kind})
        if about:
            clauses.append(_plural(kind.value, about))
    return ", ".join(clauses[:-1]) + (" and " if clauses[1:] else "") + clauses[-1]


def _plural(sentence: str, about: list[str]) -> str:
    if len(about) == 1:
        return sentence.format(about[0])
    verbs = {" has ": " have ", " starts ": " start "}
    for one, many in verbs.items():
        sentence = sentence.replace(one, many)
    return sentence.format(", ".join(about[:-1]) + " and " + about[-1])


def _equation(condition: sympy.Basic) -> str:
    """Return an equation in the names of the hyper-parameters, as `check` takes them."""
    return " = ".join(str(side) for side in condition.args)
