"""Checking: typing first; a witness is looked for only where typing fails."""

from __future__ import annotations

from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.decide import decide
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.verdict import Verdict, proved, unproved
from normdsl.compiler.invariance.witness import Experiment, search
from normdsl.declaration import Declaration


def check(
    declaration: Declaration, group: Group | str | None = None, **assumptions: float
) -> Report | Verdict:
    """Return the verdict for one group, or a report over all of them.

    Args:
        declaration: the rule.
        group: the group, or its name; None for all.
        assumptions: hyper-parameters fixed to numbers, such as `eps=0`.

    Raises:
        NormdslError: for an unknown group.
        HyperparameterError: for an unknown hyper-parameter or a value outside its domain.
    """
    bound = declaration.bind(**assumptions) if assumptions else declaration
    if group is not None:
        return verdict(bound, groups.named(group) if isinstance(group, str) else group)
    return Report(tuple(verdict(bound, g) for g in groups.ALL))


def verdict(declaration: Declaration, group: Group) -> Verdict:
    """Return the verdict for one group."""
    decision = decide(declaration, group)
    if decision.judgement is not None:
        return proved(declaration, group, decision)
    return unproved(declaration, group, decision, search(declaration, group, _simulate))


def _simulate(experiment: Experiment) -> list[float]:
    """Run twins, amplified rounding left out; torch is imported here, for witnesses only."""
    from normdsl.compiler.simulate import twins

    return twins(experiment).significant_drift
