"""From inferred laws to a decision: does the new iterate move like the weights?"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import attrs
import sympy

from normdsl.compiler.invariance.agreement import alike
from normdsl.compiler.invariance.conditions import (
    SILENT,
    Assumption,
    Condition,
    Conditions,
    Kind,
    show,
    starting,
    wanting,
)
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.infer import ASIDE, Inference
from normdsl.compiler.invariance.judgement import Failure, Judgement, settled, settled_law
from normdsl.compiler.invariance.laws import moved
from normdsl.compiler.invariance.mirror import one_sided
from normdsl.compiler.invariance.motion import moves
from normdsl.compiler.invariance.naming import at_zero, names_of
from normdsl.compiler.invariance.needed import met, reduced, unmeetable
from normdsl.compiler.invariance.unit_equations import (
    consistent,
    from_sympy,
    is_zero,
    solutions,
    without_unknowns,
)
from normdsl.declarations.folding import fold
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.rule import Rule
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.traversal import walk

#: Exponents that were free, as they were chosen.
Chosen = Mapping[sympy.Symbol, sympy.Expr]
#: Assumptions on ranks and on singular values or eigenvalues.
_OF_VALUES = (Kind.FULL_RANK, Kind.DISTINCT, Kind.SEPARATED, Kind.UNTIED)
NO_CHOICE: Chosen = MappingProxyType({})


class Mode(enum.Enum):
    """In which sense trajectories agree.

    EXACT: equal in exact arithmetic. LAW: equal in distribution, draws being random. LIMIT: equal
    in the limit of hyper-parameters towards 0, which their domains exclude,
    as long as the step is continuous there; runs at small values look for a jump.
    """

    EXACT = "exact"
    LAW = "in law"
    LIMIT = "in the limit"


@attrs.frozen(eq=False)
class Proof:
    """A proof that the new weights move like W.

    Args:
        judgement: its last line. conditions: what it needs. limits: what must tend to
            0. assumed: conditions met by assumption. mode: in which sense it holds.
    """

    judgement: Judgement
    conditions: Conditions
    limits: Conditions
    assumed: Conditions
    mode: Mode

    @property
    def cost(self) -> tuple[int, ...]:
        """How much the proof asks for; the cheapest one is reported."""
        needed = self.conditions | self.limits
        symbols = sum(len(c.free_symbols) for c in needed if not isinstance(c, Assumption))
        law = self.mode is Mode.LAW
        return len(self.limits), len(self.conditions), symbols, law, len(self.assumed)


@attrs.frozen(eq=False)
class Decision:
    """What inference found: proofs, cheapest first, or where and why typing failed."""

    proofs: tuple[Proof, ...]
    failure: Failure | None

    @property
    def proof(self) -> Proof | None:
        """The cheapest proof."""
        return self.proofs[0] if self.proofs else None


def prove(declaration: Rule, group: Group, given: Conditions = frozenset()) -> Decision:
    """Type the new weights and compare their law with that of W, taking assumptions as given."""
    group = group.on(declaration.ports)
    inference = Inference(group, idle_parameters(declaration), zeroed=declaration.zeroed)
    wanted = group.weights
    if group.swap:
        wanted = attrs.evolve(wanted, twin=declaration.update)
    try:
        judgements = inference.judge(declaration.update)
        if group.swap:
            judgements += tuple(inference.specialised(declaration.update))
    except Failure as failure:
        return Decision((), inference.memory.get(ASIDE, failure))
    proofs, obstacles = [], []
    for j in judgements:
        agreed = alike(j.law, wanted)
        solved = None if agreed is None else without_unknowns(agreed | j.conditions)
        found = None if solved is None else _proof(declaration, j, *solved, given)
        if isinstance(found, Proof):
            proofs.append(found)
        elif found is not None:
            obstacles.append(found)
    if proofs:
        return Decision(tuple(sorted(proofs, key=lambda p: p.cost)), None)
    if obstacles:
        return Decision((), Failure(declaration.update, min(obstacles, key=len), judgements))
    if group.swap:
        return Decision((), one_sided(declaration.update, names_of(declaration)))
    if any(alike(j.law, wanted) is not None for j in judgements):
        reason = "its conditions contradict one another"
    else:
        reason = f"the new weights are {moved(judgements[0].law)}, but W is {moved(wanted)}"
    return Decision((), Failure(declaration.update, reason, judgements))


def _proof(
    declaration: Rule,
    judgement: Judgement,
    needed: Conditions,
    chosen: Mapping[sympy.Symbol, sympy.Expr],
    given: Conditions,
) -> Proof | str:
    """Return a judgement as a proof if its conditions can be met, or nearly; or why they cannot."""
    shorter = [shortened(c, declaration) for c in needed]
    if None in shorter or not possible(declaration, frozenset(shorter)):
        return _out_of_reach(needed)
    chosen = _shared_out(needed, chosen)
    needed = _where_they_hold(frozenset(_begun(c, chosen) for c in shorter), declaration)
    zeros = at_zero(declaration, needed)
    names = names_of(declaration, zeros)
    needed = reduced(needed, zeros, names)
    hopeless = unmeetable(needed)
    if hopeless is not None:
        assumption, rank = hopeless
        return f"it would need {wanting(assumption, names)}, but its rank is {rank} at most"
    silent = {c for c in needed if isinstance(c, Assumption) and c.kind in SILENT}
    limits = _of_kind(needed, Kind.VANISHING)
    law = any(c.kind is Kind.MOVED_DRAW for c in silent)
    mode = Mode.LIMIT if limits else Mode.LAW if law else Mode.EXACT
    rest = needed - silent - limits
    assumed = frozenset(c for c in rest if met(c, given, zeros))
    return Proof(settled(judgement, chosen), rest - assumed, limits, assumed, mode)


def _out_of_reach(needed: Conditions) -> str:
    """Return why hyper-parameters cannot meet the equations among conditions."""
    equations = [c for c in needed if not isinstance(c, Assumption)]
    if not equations:
        return "its conditions contradict one another"
    return f"it would need {show(equations, {})}, which a domain excludes or which leaves no step"


def settled_starts(conditions: Conditions, chosen: Chosen = NO_CHOICE) -> Conditions:
    """Return conditions with the exponents that were chosen; those left free are shared evenly."""
    shared = _shared_out(conditions, chosen)
    return frozenset(_begun(c, shared) for c in conditions)


def _shared_out(conditions: Conditions, chosen: Chosen) -> Chosen:
    """Return the exponents chosen, with those left free such that states start by small powers.

    Two states that are estimated in each other's metric may share a unit in any way: evenly, then.
    """
    laws = [c.law for c in conditions if isinstance(c, Assumption) and c.law is not None]
    units = [law.unit.subs(dict(chosen)) for law in laws if law.unit is not None]
    free = sorted({u for unit in units for u in unit.atoms(sympy.Dummy)}, key=str)
    size = sum(unit**2 for unit in units)
    least = solutions([sympy.Eq(sympy.diff(size, u), 0) for u in free], free)
    if not (free and least):
        return chosen
    return {u: x.subs(least[0]) for u, x in chosen.items()} | least[0]


def _begun(condition: Condition, chosen: Chosen) -> Condition:
    """Return the assumption of how a state starts with the exponents that were chosen."""
    if not isinstance(condition, Assumption) or condition.law is None:
        return condition
    return starting(condition.of, settled_law(condition.law, chosen), condition.along)


def _where_they_hold(needed: Conditions, declaration: Rule) -> Conditions:
    """Return conditions with ranks and eigenvalues those of a value where equations hold.

    At ε = 0 and in the limit it is L that must have full rank, not L + ε I; a value with a name of
    the author's keeps it.
    """
    zeros = {h for h in map(_parameter, declaration.hyper) if is_zero(h) in needed}
    table: dict[Expr, Expr] = dict.fromkeys(zeros, as_expr(0))

    def there(c: Condition) -> Condition:
        ranked = isinstance(c, Assumption) and c.kind in _OF_VALUES
        if not ranked or c.of in declaration.labels or zeros.isdisjoint(walk(c.of)):
            return c
        return attrs.evolve(c, of=fold(c.of, table))

    return frozenset(map(there, needed))


def _parameter(hyper: Hyperparameter) -> Param:
    return Param(hyper.name, hyper.domain)


def shortened(condition: Condition, declaration: Rule) -> Condition | None:
    """Return a b = 0 as b = 0 where a = 0 would leave no step; None if no factor is left."""
    if not isinstance(condition, sympy.Equality) or condition.rhs != 0:
        return condition
    idle = idle_parameters(declaration)
    powers = [f.as_base_exp() for f in sympy.Mul.make_args(sympy.factor(condition.lhs))]
    factors = [base for base, exponent in powers if not exponent.is_negative]
    left = [f for f in factors if f.is_nonzero is not True and str(f) not in idle]
    return sympy.Eq(sympy.Mul(*left), 0) if left else None


def _of_kind(conditions: Conditions, kind: Kind) -> Conditions:
    return frozenset(c for c in conditions if isinstance(c, Assumption) and c.kind is kind)


def possible(declaration: Rule, conditions: Conditions) -> bool:
    """Return whether hyper-parameters within their domains meet conditions and leave a step."""
    gone = {c.of.name: as_expr(0) for c in _of_kind(conditions, Kind.VANISHING)}
    equations = [c for c in conditions if isinstance(c, sympy.Equality)]
    if not consistent(conditions):
        return False
    if not equations:
        return leaves_a_step(declaration, gone)
    solved = solutions(equations)
    for found in solved:
        values = {str(name): value for name, value in found.items()}
        inside = all(
            value.is_real and declaration.hyperparameter(name).domain.contains(float(value))
            for name, value in values.items()
            if value.is_number
        )
        meant = {n: from_sympy(value, declaration.hyper) for n, value in values.items()}
        chosen = {name: value for name, value in meant.items() if value is not None}
        if inside and leaves_a_step(declaration, gone | chosen):
            return True
    return not solved and leaves_a_step(declaration, gone)


def leaves_a_step(declaration: Rule, values: Mapping[str, Expr]) -> bool:
    """Return whether the gradient still moves the weights with some hyper-parameters so chosen."""
    return moves(declaration, frozenset(values.items()))


@lru_cache(maxsize=256)
def idle_parameters(declaration: Rule) -> frozenset[str]:
    """Return the hyper-parameters that, set to zero, leave no step: no condition may say so."""
    return frozenset(
        h.name
        for h in declaration.hyper
        if is_zero(Param(h.name, h.domain)) is not None
        and not leaves_a_step(declaration, {h.name: as_expr(0)})
    )
