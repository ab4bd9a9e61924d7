"""Checking: typing first; a witness is looked for only where typing fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.conditions import Assumption, Conditions
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.judgement import Failure
from normdsl.compiler.invariance.prove import Decision, prove
from normdsl.compiler.invariance.remarks import Remarks, may_stop
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.search import can_sample, persists, search
from normdsl.compiler.invariance.verdict import Verdict, proved, unproved, without_run
from normdsl.compiler.invariance.witness import Experiment
from normdsl.compiler.verdicts.assumptions import WORDS, assumed
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError


def check(
    declaration: Rule,
    group: Group | str | Iterable[Group | str] | None = None,
    *,
    witnesses: bool = True,
    **assumptions: Any,
) -> Report | Verdict:
    """Return the verdict for one group, or a report over several or over all of them.

    Args:
        declaration: the rule.
        group: the group, or its name; several, as a list or as "affine, scale"; None for all.
        witnesses: whether to run the rule, look for counterexamples and remark where its own runs
            are not finite; without them, what cannot be proved is `unknown`.
        assumptions: hyper-parameters fixed to numbers, such as `eps=0`; and the names of states
            or parts that start `transported` or `unmoved`, have `full_rank`, have `distinct`
            eigenvalues, or are `scaled` with the loss, as in `transported="L, R"`, or True for all.
            A part without a name is written as verdicts write it: `full_rank="G Gᵀ, chol(L)"`.
            How a state starts is assumed only where its start does not read W; where it does, W
            fixes it. A counterexample meets all of them.

    Raises:
        NormdslError: for an unknown group, or a name that no part of the rule has.
        HyperparameterError: for an unknown hyper-parameter or a value outside its domain.
    """
    known = {h.name for h in declaration.hyper}
    told = {k: v for k, v in assumptions.items() if k in WORDS and k not in known}
    fixed = {k: v for k, v in assumptions.items() if k not in told}
    for name in fixed:
        declaration.hyperparameter(name, (*WORDS, "witnesses"))
    bound = declaration.bind(**fixed) if fixed else declaration
    asked = groups.several(group, declaration.ports)
    for each in asked:
        groups.require_acting(each, declaration.name, declaration.ports)
    if declaration.partial:
        raise NormdslError(
            f"check a part of {declaration.name}",
            why="how the other parameters move is decided by the whole rule",
            hint=f"check {declaration.name} itself",
        )
    given = assumed(declaration, told, fixed)
    if isinstance(group, Group) or (isinstance(group, str) and "," not in group):
        return verdict(bound, groups.named(group), given, witnesses)
    return Report(tuple(verdict(bound, g, given, witnesses) for g in asked))


def compare(*declarations: Rule, **options: Any) -> Report:
    """Return the verdicts on several rules side by side, over all groups.

    Options are those of `check`.

    Raises:
        NormdslError: without a rule, or for two rules of one name.

    Example:
        >>> import normdsl as nd
        >>> descent = nd.optimizer(lambda lr=0.1: nd.W - lr * nd.G)
        >>> report = nd.compare(descent, witnesses=False)
        >>> [v.group.name for v in report if v.invariant][:3]
        ['orthogonal', 'left_orthogonal', 'right_orthogonal']
    """
    named_apart(*declarations)
    reports = [check(d, **options) for d in declarations]
    return Report(tuple(v for r in reports if isinstance(r, Report) for v in r))


def named_apart(*declarations: Rule) -> None:
    """Refuse no rules at all, and two of one name.

    Raises:
        NormdslError: if so.
    """
    names = [d.name for d in declarations]
    if not names or len(set(names)) < len(names):
        raise NormdslError(
            f"compare {', '.join(names) or 'nothing'}",
            why="a comparison takes one rule or more, each with a name of its own",
            hint="nd.compare(one, another), or rename one of them",
        )


def verdict(
    declaration: Rule,
    group: Group,
    given: Conditions = frozenset(),
    witnesses: bool = True,
) -> Verdict:
    """Return the verdict for one group."""
    if not witnesses:
        return _decided(declaration, group, given, witnesses)
    runs = _runs(declaration)
    if runs.always is not None:
        return without_run(declaration, group, runs.always)
    return attrs.evolve(_decided(declaration, group, given, witnesses), remarks=runs.sometimes)


def _decided(declaration: Rule, group: Group, given: Conditions, witnesses: bool) -> Verdict:
    """Return the verdict of typing and, if asked for, of witnesses."""
    decision = prove(declaration, group, given)
    searched = witnesses and can_sample(declaration)
    if decision.proof is None:
        witness = search(declaration, group, _simulate, given=given) if witnesses else None
        return unproved(declaration, group, decision, witness, searched=searched)
    found = proved(declaration, group, decision, searched=searched)
    if searched and found.limits:
        vanishing = [c.of.name for c in found.limits]
        needed = frozenset(c for c in found.conditions if isinstance(c, Assumption))
        witness = persists(declaration, group, _simulate, vanishing, given | needed)
        if witness is not None:
            reason = f"it is invariant at {' = '.join(vanishing)} = 0, but jumps there"
            failed = Decision((), Failure(declaration.update, reason))
            return unproved(declaration, group, failed, witness)
    if not (witnesses and found.conditions):
        return found
    otherwise = search(declaration, group, _simulate, tries=1, given=given)
    return attrs.evolve(found, otherwise=otherwise)


def _runs(declaration: Rule) -> Remarks:
    """Return whether the rule's own runs are finite; torch is imported only if that is open."""
    if not may_stop(declaration.update):
        return Remarks()
    from normdsl.compiler.verdicts.finiteness import remarks

    return remarks(declaration)


def _simulate(experiment: Experiment) -> list[float]:
    """Run the rule twice, before and after a change of the weights, and return how the runs differ.

    Torch is imported here, for witnesses only.
    """
    if experiment.pairs:
        from normdsl.compiler.verdicts.sampling import differences

        return differences(experiment)
    from normdsl.compiler.verdicts.drift import drifts

    return drifts(experiment)
