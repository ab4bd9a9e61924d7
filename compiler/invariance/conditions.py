"""What a verdict depends on: equations on hyper-parameters, and named assumptions."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import attrs
import sympy

from normdsl.compiler.invariance.laws import INVARIANT, ONE, Law
from normdsl.compiler.invariance.ranks import missing, size
from normdsl.declarations.folding import fold
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.traversal import walk
from normdsl.show.notation import LENGTHS
from normdsl.show.text import text


class Kind(enum.Enum):
    """A property of a pair of runs that no hyper-parameter decides; the value is a sentence on {}.

    The last four need not be assumed by anyone. They say in which sense runs agree: values and
    draws are the same in both runs; draws are moved by the group element, which leaves their
    distribution as it is; states start as they do; a hyper-parameter whose domain excludes 0 tends
    to it.
    """

    TRANSPORTED = "{} starts transformed along with the weights"
    UNMOVED = "{} starts the same in both runs"
    FULL_RANK = "{} has full rank"
    DISTINCT = "{} has distinct eigenvalues"
    SEPARATED = "{} has distinct singular values"
    UNTIED = "{} has distinct entries"
    FLOOR = "{} is scaled along with the loss"
    SAME = "{} is the same in both runs"
    MOVED_DRAW = "{} is drawn transformed along with the weights"
    STARTED = "{} starts as it does"
    VANISHING = "{} → 0"


@attrs.frozen
class Assumption:
    """A named assumption on an expression.

    Args:
        kind: what is assumed. of: about which expression. law: the law by which a state starts.
        along: whether weights move in the group, so that there is something to be moved along.
    """

    kind: Kind
    of: Expr
    law: Law | None = None
    along: bool = True

    @property
    def sentence(self) -> str:
        """The assumption as a sentence on {}; without weights that move, starts are scaled by c."""
        if self.kind is not Kind.TRANSPORTED or self.along or self.law is None:
            return str(self.kind.value)
        power = "" if self.law.unit == ONE else f"^({self.law.unit})"
        return "{} starts multiplied by c" + power


def starting(state: Expr, law: Law, along: bool = True) -> Assumption:
    """Return the assumption that a state starts by a law."""
    kind = Kind.UNMOVED if law == INVARIANT else Kind.TRANSPORTED
    return Assumption(kind, state, law, along)


#: How far below the size of a matrix its rank may be, for what is assumed of it.
SHORT = {Kind.FULL_RANK: 0, Kind.DISTINCT: 1}

Condition: TypeAlias = Any  # an equation (sympy.Basic, untyped) or an Assumption
Conditions = frozenset[Condition]
NONE: Conditions = frozenset()
#: Kinds that every pair of runs meets, or that name its mode.
SILENT = (Kind.SAME, Kind.MOVED_DRAW, Kind.STARTED)
#: Kinds that are about the start of a state, for people to see to.
GIVEN_STARTS = (Kind.TRANSPORTED, Kind.UNMOVED)
_STARTS = (*GIVEN_STARTS, Kind.STARTED)
_READINGS = (Kind.SAME, Kind.MOVED_DRAW, Kind.FLOOR)


def coupled(conditions: Iterable[Condition]) -> bool:
    """Return whether every state starts, and every draw and value is read, in one way only.

    A state may be spoken of as it is where hyper-parameters are 0: it is the same state.
    """
    conditions = list(conditions)
    listed = [c for c in conditions if isinstance(c, Assumption)]
    for kinds in (_STARTS, _READINGS):
        about = [c for c in listed if c.kind in kinds]
        if len({c.of for c in about}) < len(about):
            return False
        if len(about) > 1:
            zeros = frozenset(filter(None, map(_vanishing, conditions)))
            ways = {(_where_zero(c.of, zeros), c.kind, c.law) for c in about}
            if len({of for of, _, _ in ways}) < len(ways):
                return False
    return True


def _vanishing(condition: Condition) -> str | None:
    """Return the hyper-parameter that a condition sets to 0, or lets tend to it."""
    if isinstance(condition, Assumption):
        of = condition.of
        return of.name if condition.kind is Kind.VANISHING and isinstance(of, Param) else None
    zero = isinstance(condition, sympy.Equality) and condition.rhs == 0
    return str(condition.lhs) if zero and condition.lhs.is_Symbol else None


@lru_cache(maxsize=1024)
def _where_zero(expr: Expr, names: frozenset[str]) -> Expr:
    """Return an expression as it is where hyper-parameters are 0."""
    gone = {x: as_expr(0) for x in walk(expr) if isinstance(x, Param) and x.name in names}
    return fold(expr, gone) if gone else expr


def show(conditions: Iterable[Condition], names: Mapping[Expr, str]) -> str:
    """Return conditions as a phrase: equations first, then one clause per kind of assumption.

    Full rank is written with the shapes that allow it.
    """
    listed = list(conditions)
    assumed = [c for c in listed if isinstance(c, Assumption)]
    clauses = sorted(_equation(c) for c in listed if not isinstance(c, Assumption))
    for kind in Kind:
        alike = [c for c in assumed if c.kind is kind]
        for sentence in sorted({c.sentence for c in alike}):
            same = [c for c in alike if c.sentence == sentence]
            only = shapes(same, names) if kind is Kind.FULL_RANK else ""
            about = sorted({_name(c.of, names) for c in same})
            clauses.append(_plural(sentence, about) + (f" (only for {only})" if only else ""))
    return ", ".join(clauses[:-1]) + (" and " if clauses[1:] else "") + clauses[-1]


def wanting(assumption: Assumption, names: Mapping[Expr, str]) -> str:
    """Return an assumption on a matrix as what is needed: S to have full rank."""
    said = assumption.kind.value.format(_name(assumption.of, names))
    return said.replace(" has ", " to have ")


def shapes(conditions: Iterable[Condition], names: Mapping[Expr, str]) -> str:
    """Return for which rows m and columns n of W matrices can be what is assumed of them.

    Where an author uses these letters for something else, they are written rows and cols.
    """
    taken = LENGTHS.keys() & set(names.values())
    letters = ("rows", "cols") if taken else ("m", "n")
    needed = {
        (size(c.of).show(letters), form.show(letters))
        for c in conditions
        if isinstance(c, Assumption) and c.kind in SHORT
        for form in missing(c.of, SHORT[c.kind])
    }
    square = {letters, letters[::-1]}
    if square <= needed:
        needed = (needed - square) | {(f"{letters[0]} = {letters[1]}", "")}
    return ", ".join(sorted(f"{a} ≤ {b}" if b else a for a, b in needed))


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
