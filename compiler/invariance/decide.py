"""From inferred laws to a decision: does the new iterate move like the weights?"""

from __future__ import annotations

import attrs
import sympy

from normdsl.compiler.invariance.conditions import Conditions, consistent, on_unknowns, symbol
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.induction import alike
from normdsl.compiler.invariance.infer import Inference
from normdsl.compiler.invariance.judgement import Failure, Judgement
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
    try:
        judgements = inference.judge(declaration.update)
    except Failure as failure:
        return Decision(None, frozenset(), failure)
    proofs: list[tuple[Conditions, Judgement]] = []
    for j in judgements:
        agreed = alike(j.law, wanted)
        if agreed is not None and possible(declaration, agreed | j.conditions):
            chosen = frozenset(c for c in agreed | j.conditions if not on_unknowns(c))
            proofs.append((chosen, j))
    if proofs:
        conditions, judgement = min(proofs, key=lambda pair: len(pair[0]))
        return Decision(judgement, conditions, None)
    if any(alike(j.law, wanted) is not None for j in judgements):
        reason = "it would need values of the hyper-parameters that their domains exclude"
        return Decision(None, frozenset(), Failure(declaration.update, reason, judgements))
    reason = f"the new weights move as {judgements[0].law}, but W moves as {wanted}"
    return Decision(None, frozenset(), Failure(declaration.update, reason, judgements))


def possible(declaration: Declaration, conditions: Conditions) -> bool:
    """Return whether some values of the hyper-parameters, within their domains, meet conditions."""
    domains = {symbol(h.name): h.domain for h in declaration.hyper}
    for condition in conditions:
        if isinstance(condition, sympy.Equality):
            name, value = condition.args
            known = domains.get(name)
            if known is not None and value.is_number and not known.contains(float(value)):
                return False
    return consistent(conditions)


def idle_parameters(declaration: Declaration) -> frozenset[str]:
    """Return the hyper-parameters that, set to zero, leave no step: no condition may say so."""
    idle = set()
    for h in declaration.hyper:
        if h.domain.contains(0.0):
            try:
                declaration.bind(**{h.name: 0.0})
            except DeclarationError:
                idle.add(h.name)
    return frozenset(idle)
