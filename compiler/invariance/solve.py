"""Solving: which values of hyper-parameters make a rule invariant."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import sympy

from normdsl.compiler.invariance.coefficients import symbol
from normdsl.compiler.invariance.conditions import Condition, show
from normdsl.compiler.invariance.groups import Group, named, require_acting
from normdsl.compiler.invariance.judgement import Failure
from normdsl.compiler.invariance.naming import at_zero, names_of
from normdsl.compiler.invariance.prove import Decision, Proof, prove
from normdsl.compiler.invariance.unit_equations import solutions
from normdsl.compiler.invariance.verdict import Verdict, proved, unproved
from normdsl.declarations.folding import fold
from normdsl.declarations.rule import Rule
from normdsl.errors import HyperparameterError
from normdsl.expressions.nodes import Param
from normdsl.show.page import Shown, paragraph, title


@attrs.frozen(repr=False)
class Solution(Shown):
    """Values of the unknowns that make a rule invariant.

    Args:
        values: the value of each unknown, a number, or an expression in the others; unknowns that
            may have any value are left out.
        conditions: what is needed besides. verdict: the answer for the rule with these values,
            decided anew; None where a value depends on other unknowns.
    """

    values: Mapping[str, sympy.Expr]
    conditions: tuple[Condition, ...]
    verdict: Verdict | None
    _labels: Mapping[Any, str] = attrs.field(repr=False)

    def __str__(self) -> str:
        known = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        told = known or "any value"
        return told + (f" (if {show(self.conditions, self._labels)})" if self.conditions else "")


@attrs.frozen(repr=False)
class Solutions(Shown):
    """The solutions found; if there are none, what stands against it.

    Args:
        declaration: the rule. group: the group. unknowns: what was solved for.
        found: the solutions. obstruction: the verdict that says where and why typing fails.
    """

    declaration: Rule
    group: Group
    unknowns: tuple[str, ...]
    found: tuple[Solution, ...]
    obstruction: Verdict | None

    def __iter__(self) -> Iterator[Solution]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> Solution:
        return self.found[index]

    def __str__(self) -> str:
        asked = f"{self.declaration.name}, {self.group.name}, for {', '.join(self.unknowns)}: "
        if self.obstruction is not None:
            return f"{asked}none found; {self.obstruction.culprit}"
        return asked + "; or ".join(map(str, self.found))

    def _repr_html_(self) -> str:
        asked, _, told = str(self).partition(": ")
        return title(asked) + paragraph(told)

    def _repr_latex_(self) -> str:
        if self.obstruction is not None:
            return r"$$\text{none found}$$"
        lines = [
            r",\; ".join(f"{sympy.latex(sympy.Symbol(k))} = {sympy.latex(v)}" for k, v in values)
            or r"\text{any value}"
            for values in (s.values.items() for s in self.found)
        ]
        return "$$" + r" \quad\text{or}\quad ".join(lines) + "$$"


def solve(declaration: Rule, group: Group | str, unknowns: str | Iterable[str]) -> Solutions:
    """Return the values of hyper-parameters that make a rule invariant under a group.

    Exponents and constants are hyper-parameters; annotate one that may be negative `nd.Real`. The
    laws of the rule are inferred with the unknowns as symbols, and their conditions are solved.

    Args:
        declaration: the rule. group: the group, or its name.
        unknowns: names of hyper-parameters, as a list or as "p, q".

    Raises:
        HyperparameterError: for an unknown hyper-parameter, or none at all.

    Example:
        >>> import normdsl as nd
        >>> @nd.optimizer
        ... def power(lr=0.1, p: nd.Real = 1.0):
        ...     return nd.W - lr * nd.sign(nd.G) * nd.abs(nd.G) ** p
        >>> nd.solve(power, "loss_scale", "p")
        power, loss_scale, for p: p = 0
        >>> nd.solve(power, "scale", "p")
        power, scale, for p: p = -1
    """
    group = named(group) if isinstance(group, str) else group
    require_acting(group, declaration.name, declaration.ports)
    listed = unknowns.split(",") if isinstance(unknowns, str) else unknowns
    names = tuple(name.strip() for name in listed)
    if not any(names):
        raise HyperparameterError(
            f"solve {declaration.name} for nothing",
            why="no unknown was named",
            hint="pass the names of hyper-parameters, such as 'p, q'",
        )
    params = [declaration.hyperparameter(name) for name in names]
    symbols = {h.name: symbol(Param(h.name, h.domain)) for h in params}
    decision = prove(declaration, group)
    found: dict[str, Solution] = {}
    for proof in decision.proofs:
        for solution in _solved(declaration, group, proof, symbols):
            found.setdefault(str(solution), solution)
    # Mirrored rows and columns may ask for equal unknowns, which no equation of exponents says.
    if group.swap and not found:
        for solution in _equal(declaration, group, symbols):
            found.setdefault(str(solution), solution)
    kept = _without_special_cases(list(found.values()))
    obstruction = None
    if not kept:
        obstruction = unproved(declaration, group, _failed(declaration, decision), None)
    return Solutions(declaration, group, names, tuple(kept), obstruction)


def _failed(declaration: Rule, decision: Decision) -> Decision:
    """Return a failed decision, also if there were proofs whose conditions cannot be solved."""
    if decision.failure is not None:
        return decision
    reason = "its conditions have no solution that the domains of the unknowns allow"
    return Decision((), Failure(declaration.update, reason))


def _solved(
    declaration: Rule, group: Group, proof: Proof, symbols: Mapping[str, sympy.Symbol]
) -> Iterator[Solution]:
    """Yield the solutions of the conditions of one proof, each decided anew."""
    needed = proof.conditions | proof.limits
    unknown = set(symbols.values())
    equations = [c for c in needed if isinstance(c, sympy.Equality) and c.free_symbols & unknown]
    rest = tuple(sorted(needed.difference(equations), key=str))
    for found in solutions(equations, sorted(unknown, key=str)):
        values = {name: found[s] for name, s in symbols.items() if s in found}
        numbers = {name: float(v) for name, v in values.items() if v.is_number}
        domains = {name: declaration.hyperparameter(name).domain for name in numbers}
        if not all(domains[name].contains(v) for name, v in numbers.items()):
            continue
        verdict = _again(declaration, group, values, rest)
        if verdict is None or verdict.proof:
            yield Solution(values, rest, verdict, _names(declaration, rest))


def _equal(
    declaration: Rule, group: Group, symbols: Mapping[str, sympy.Symbol]
) -> Iterator[Solution]:
    """Yield pairs of unknowns that must be equal: what mirrors rows and columns may need."""
    for one, two in itertools.combinations(symbols, 2):
        first, second = map(declaration.hyperparameter, (one, two))
        table = {Param(two, second.domain): Param(one, first.domain)}
        joined = attrs.evolve(declaration, update=fold(declaration.update, table), names=())
        proof = prove(joined, group).proof
        if first.domain == second.domain and proof is not None:
            rest = tuple(sorted(proof.conditions | proof.limits, key=str))
            yield Solution({two: symbols[one]}, rest, None, _names(declaration, rest))


def _names(declaration: Rule, conditions: Iterable[Condition]) -> Mapping[Any, str]:
    """Return names for what conditions are about."""
    return names_of(declaration, at_zero(declaration, conditions))


def _again(
    declaration: Rule,
    group: Group,
    values: Mapping[str, sympy.Expr],
    rest: tuple[Condition, ...],
) -> Verdict | None:
    """Return the verdict with numbers for the unknowns; None if they are not numbers.

    Of several proofs, one that asks for the conditions found and no others is preferred.
    """
    if not all(v.is_number for v in values.values()):
        return None
    bound = declaration.bind(**{name: float(v) for name, v in values.items()})
    decision = prove(bound, group)
    alike = [
        p for p in decision.proofs if set(map(str, p.conditions | p.limits)) == set(map(str, rest))
    ]
    decision = Decision((*alike, *decision.proofs), decision.failure)
    if decision.proof is None:
        return unproved(bound, group, decision, None)
    return proved(bound, group, decision)


def _without_special_cases(found: list[Solution]) -> list[Solution]:
    """Drop solutions that fix more than another one does under no more conditions."""
    return [
        s
        for s in found
        if not any(
            o is not s
            and set(o.conditions) <= set(s.conditions)
            and _covers(o, s)
            and (len(o.values), len(o.conditions)) < (len(s.values), len(s.conditions))
            for o in found
        )
    ]


def _covers(general: Solution, special: Solution) -> bool:
    """Return whether the values of a solution meet the equations that another one is."""
    known = special.values
    symbols = {x for value in general.values.values() for x in value.free_symbols}
    table = {x: known[str(x)] for x in symbols if str(x) in known}
    return all(
        name in known and sympy.simplify(known[name] - value.subs(table)) == 0
        for name, value in general.values.items()
    )
