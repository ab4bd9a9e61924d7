"""From inferred laws to a decision: does the new iterate move like the weights?"""

from __future__ import annotations

from functools import lru_cache

import attrs
import sympy

from normdsl.compiler.invariance.conditions import Condition, Conditions
from normdsl.compiler.invariance.exponents import consistent, without_unknowns
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.induction import alike
from normdsl.compiler.invariance.infer import Inference
from normdsl.compiler.invariance.judgement import Failure, Judgement
from normdsl.compiler.invariance.mirror import one_sided
from normdsl.declaration import Declaration
from normdsl.errors import DeclarationError


@attrs.frozen(eq=False)
class Decision:
    """What inference found.

    Args:
        judgement: the proof that the new weights have W's law, or None.
        conditions: what it needs.
        failure: where and why typing failed, or None.
    """

    judgement: Judgement | None
    conditions: Conditions
    failure: Failure | None


def decide(declaration: Declaration, group: Group) -> Decision:
    """Type the new weights and compare their law with that of W."""
    inference = Inference(group, idle_parameters(declaration))
    wanted = group.weights
    if group.swap:
        wanted = attrs.evolve(wanted, twin=declaration.update)
    try:
        judgements = inference.judge(declaration.update)
        if group.swap:
            judgements += tuple(inference.specialised(declaration.update))
    except Failure as failure:
        return Decision(None, frozenset(), failure)
    proofs: list[tuple[Conditions, Judgement]] = []
    for j in judgements:
        agreed = alike(j.law, wanted)
        needed = None if agreed is None else without_unknowns(agreed | j.conditions)
        needed = None if needed is None else frozenset(shortened(c, declaration) for c in needed)
        if needed is not None and possible(declaration, needed):
            proofs.append((needed, j))
    if proofs:
        conditions, judgement = min(proofs, key=lambda pair: len(pair[0]))
        return Decision(judgement, conditions, None)
    if any(alike(j.law, wanted) is not None for j in judgements):
        reason = "it would need values of the hyper-parameters that their domains exclude"
        return Decision(None, frozenset(), Failure(declaration.update, reason, judgements))
    if group.swap:
        return Decision(None, frozenset(), one_sided(declaration.update))
    reason = f"the new weights move as {judgements[0].law}, but W moves as {wanted}"
    return Decision(None, frozenset(), Failure(declaration.update, reason, judgements))


def shortened(condition: Condition, declaration: Declaration) -> Condition:
    """Return a b = 0 as b = 0 where a = 0 would leave no step."""
    if not isinstance(condition, sympy.Equality) or condition.rhs != 0:
        return condition
    idle = idle_parameters(declaration)
    factors = [f for f in sympy.Mul.make_args(condition.lhs) if f.is_nonzero is not True]
    left = [f for f in factors if str(f) not in idle]
    return sympy.Eq(sympy.Mul(*left), 0) if left else condition


def possible(declaration: Declaration, conditions: Conditions) -> bool:
    """Return whether hyper-parameters within their domains meet conditions and leave a step."""
    fixed: dict[str, float] = {}
    for condition in conditions:
        if isinstance(condition, sympy.Equality):
            name, value = condition.args
            if name.is_Symbol and value.is_number:
                if not declaration.hyperparameter(str(name)).domain.contains(float(value)):
                    return False
                fixed[str(name)] = float(value)
    zeros = {name: value for name, value in fixed.items() if value == 0}
    return consistent(conditions) and leaves_a_step(declaration, zeros)


def leaves_a_step(declaration: Declaration, zeros: dict[str, float]) -> bool:
    """Return whether the new weights still depend on the gradient."""
    try:
        declaration.bind(**zeros)
    except DeclarationError:
        return False
    return True


@lru_cache(maxsize=256)
def idle_parameters(declaration: Declaration) -> frozenset[str]:
    """Return the hyper-parameters that, set to zero, leave no step: no condition may say so."""
    return frozenset(
        h.name
        for h in declaration.hyper
        if h.domain.contains(0.0) and not leaves_a_step(declaration, {h.name: 0.0})
    )
