"""What a verdict depends on: equations on hyper-parameters, and named assumptions."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs
import sympy

from normdsl.expr import Expr
from normdsl.nodes import Param
from normdsl.show.text import text


class Kind(enum.Enum):
    """A property of a pair of runs that no hyper-parameter decides; the value says it of {}.

    The last three are never asked of anyone, they say in which sense runs agree: draws are the same
    in both runs, or moved by the group element, which leaves their distribution as it is; a
    hyper-parameter whose domain excludes 0 tends to it.
    """

    TRANSPORTED = "{} starts transformed along with the weights"
    FULL_RANK = "{} has full rank"
    DISTINCT = "{} has distinct eigenvalues"
    FLOOR = "{} is scaled along with the loss"
    SAME_DRAW = "{} is the same in both runs"
    MOVED_DRAW = "{} is drawn transformed along with the weights"
    VANISHING = "{} → 0"


@attrs.frozen
class Assumption:
    """A named assumption on an expression."""

    kind: Kind
    of: Expr


Condition: TypeAlias = Any  # an equation (sympy.Basic, untyped) or an Assumption
Conditions = frozenset[Condition]
NONE: Conditions = frozenset()
DRAWS = (Kind.SAME_DRAW, Kind.MOVED_DRAW)


def coupled(conditions: Iterable[Condition]) -> bool:
    """Return whether every draw is used in one way: the same in both runs, or moved."""
    drawn = [c for c in conditions if isinstance(c, Assumption) and c.kind in DRAWS]
    return len({c.of for c in drawn}) == len(drawn)


def show(conditions: Iterable[Condition], names: Mapping[Expr, str]) -> str:
    """Return conditions as a phrase: equations first, then one clause per kind of assumption."""
    listed = list(conditions)
    assumed = [c for c in listed if isinstance(c, Assumption)]
    clauses = sorted(_equation(c) for c in listed if not isinstance(c, Assumption))
    for kind in Kind:
        about = sorted({_name(c.of, names) for c in assumed if c.kind is kind})
        if about:
            clauses.append(_plural(kind.value, about))
    return ", ".join(clauses[:-1]) + (" and " if clauses[1:] else "") + clauses[-1]


def _name(expr: Expr, names: Mapping[Expr, str]) -> str:
    return expr.name if isinstance(expr, Param) else text(expr, names)


def _plural(sentence: str, about: list[str]) -> str:
    if len(about) == 1:
        return sentence.format(about[0])
    verbs = {" has ": " have ", " starts ": " start ", " is ": " are "}
    for one, many in verbs.items():
        sentence = sentence.replace(one, many)
    return sentence.format(", ".join(about[:-1]) + " and " + about[-1])


def _equation(condition: sympy.Basic) -> str:
    """Return an equation in the names of the hyper-parameters, as `check` takes them."""
    return " = ".join(str(side) for side in condition.args)
