"""Names for everything that a verdict mentions: what its author named, wherever it turns up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy

from normdsl.compiler.invariance.conditions import Assumption, Condition, Kind
from normdsl.declarations.folding import Folding
from normdsl.declarations.rule import Rule, remembered
from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.recursion import After, Before, Carry, State, free_carries, release
from normdsl.expressions.traversal import walk
from normdsl.show.notation import LENGTHS

Names = dict[Expr, str]
Zeros = frozenset[Param]


@remembered(maxsize=128)
def names_of(declaration: Rule, zeros: Zeros = frozenset()) -> Names:
    """Return the names of a rule's parts: as written, seen from outside, and with some symbols 0.

    Args:
        declaration: the rule. zeros: hyper-parameters that what is to be named has set to 0.
    """
    labels = declaration.labels
    outside = seen_from_outside(declaration.update, labels)
    names = {x: labels[source] for x, source in outside.items()}
    names |= {Param(h.name, h.domain): h.name for h in declaration.hyper if h.name in LENGTHS}
    written = dict(names)
    for gone in (*({p} for p in sorted(zeros, key=str)), zeros) if zeros else ():
        names.update(
            {x: n for x, n in _folded(written, gone).items() if x not in names and x.children}
        )
    return names


def at_zero(declaration: Rule, conditions: Iterable[Condition]) -> Zeros:
    """Return the hyper-parameters that conditions set to 0, or let tend to 0."""
    found = {h.name: Param(h.name, h.domain, where=None) for h in declaration.hyper}
    gone: set[str] = {
        c.of.name for c in conditions if isinstance(c, Assumption) and c.kind is Kind.VANISHING
    }
    for c in conditions:
        if isinstance(c, sympy.Equality) and 0 in c.args:
            gone |= {str(side) for side in c.args if side.is_Symbol}
    return frozenset(found[name] for name in gone)


def can_vanish(declaration: Rule) -> Zeros:
    """Return the hyper-parameters that can be 0, or tend to it."""
    params = (Param(h.name, h.domain, where=None) for h in declaration.hyper)
    return frozenset(p for p in params if p.domain.contains(0) or p.domain.borders(0))


def seen_from_outside(update: Expr, inside: Iterable[Expr]) -> dict[Expr, Expr]:
    """Return expressions of a rule over the states before the step, each with what it was inside.

    Inside a recursion's body, states are carries; those of several recursions may look alike.
    """
    found = {x: x for x in inside}
    if not any(isinstance(x, Carry) for y in found for x in walk(y)):
        return found
    recursions = {x.recursion for x in walk(update) if isinstance(x, State)}
    for recursion in sorted(recursions, key=lambda r: r.level):
        own = {recursion.carry(i) for i in range(len(recursion.inits))}
        for x, source in list(found.items()):
            if own & free_carries(x):
                found.setdefault(release(x, recursion, Before), source)
    return found


def _folded(names: Names, zeros: Iterable[Param]) -> dict[Expr, str]:
    """Return the names of expressions once some hyper-parameters are 0."""
    folding = Folding(dict.fromkeys(zeros, as_expr(0)))
    found: dict[Expr, str] = {}
    for x, name in names.items():
        try:
            found.setdefault(folding(x), name)
        except NormdslError:  # it has no value there
            continue
    return found


def complete(names: Mapping[Expr, str], shown: Iterable[Expr]) -> Names:
    """Return names that have one for every state in the expressions shown: s1, s2, … if need be."""
    found = dict(names)
    for x in (y for expr in shown for y in walk(expr) if isinstance(y, State)):
        after = After(x.recursion, x.index, where=None)
        if after not in found:
            found[after] = _fresh(set(found.values()))
    return found


def _fresh(taken: set[str]) -> str:
    k = 1
    while f"s{k}" in taken:
        k += 1
    return f"s{k}"
