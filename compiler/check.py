"""Checking: typing first; a witness is looked for only where typing fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from normdsl.compiler.invariance import groups
from normdsl.compiler.invariance.conditions import Assumption, Conditions, Kind
from normdsl.compiler.invariance.decide import Decision, decide
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.judgement import Failure
from normdsl.compiler.invariance.remarks import Remarks, may_stop
from normdsl.compiler.invariance.report import Report
from normdsl.compiler.invariance.search import persists, search
from normdsl.compiler.invariance.verdict import Verdict, proved, unproved, without_run
from normdsl.compiler.invariance.witness import Experiment
from normdsl.declaration import Declaration
from normdsl.errors import NormdslError
from normdsl.expr import Expr
from normdsl.graph import walk
from normdsl.show.text import text

#: How `check` is told of assumptions that no number expresses.
WORDS = {
    "transported": Kind.TRANSPORTED,
    "unmoved": Kind.UNMOVED,
    "full_rank": Kind.FULL_RANK,
    "distinct": Kind.DISTINCT,
    "scaled": Kind.FLOOR,
}


def check(
    declaration: Declaration,
    group: Group | str | None = None,
    *,
    witnesses: bool = True,
    **assumptions: Any,
) -> Report | Verdict:
    """Return the verdict for one group, or a report over all of them.

    Args:
        declaration: the rule.
        group: the group, or its name; None for all.
        witnesses: whether to run the rule, look for counterexamples and remark where its own runs
            are not finite; without them, what cannot be proved is `unknown`.
        assumptions: hyper-parameters fixed to numbers, such as `eps=0`; and the names of states
            or parts that start `transported` or `unmoved`, have `full_rank`, have `distinct`
            eigenvalues, or are `scaled` with the loss, as in `transported="L, R"`, or True for all.
            A counterexample honours all of them.

    Raises:
        NormdslError: for an unknown group, or a name that is no part of the rule.
        HyperparameterError: for an unknown hyper-parameter or a value outside its domain.
    """
    known = {h.name for h in declaration.hyper}
    told = {k: v for k, v in assumptions.items() if k in WORDS and k not in known}
    fixed = {k: v for k, v in assumptions.items() if k not in told}
    bound = declaration.bind(**fixed) if fixed else declaration
    given = assumed(bound, told)
    if group is not None:
        chosen = groups.named(group) if isinstance(group, str) else group
        return verdict(bound, chosen, given, witnesses)
    return Report(tuple(verdict(bound, g, given, witnesses) for g in groups.ALL))


def compare(*declarations: Declaration, **options: Any) -> Report:
    """Return one report over several rules and all groups; options are those of `check`.

    Raises:
        NormdslError: without a rule, or for two rules of one name.
    """
    names = [d.name for d in declarations]
    if not names or len(set(names)) < len(names):
        raise NormdslError(
            f"compare {', '.join(names) or 'nothing'}",
            why="a comparison takes one rule or more, each with a name of its own",
            hint="nd.compare(one, another), or rename one of them",
        )
    reports = [check(d, **options) for d in declarations]
    return Report(tuple(v for r in reports if isinstance(r, Report) for v in r))


def verdict(
    declaration: Declaration,
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


def _decided(declaration: Declaration, group: Group, given: Conditions, witnesses: bool) -> Verdict:
    """Return the verdict of typing and, if asked for, of witnesses."""
    decision = decide(declaration, group, given)
    if decision.proof is None:
        witness = search(declaration, group, _simulate, given=given) if witnesses else None
        return unproved(declaration, group, decision, witness)
    found = proved(declaration, group, decision)
    if witnesses and found.limits:
        vanishing = [c.of.name for c in found.limits]
        witness = persists(declaration, group, _simulate, vanishing, given)
        if witness is not None:
            reason = f"it is invariant at {' = '.join(vanishing)} = 0, but jumps there"
            failed = Decision((), Failure(declaration.update, reason))
            return unproved(declaration, group, failed, witness)
    if not (witnesses and found.conditions):
        return found
    otherwise = search(declaration, group, _simulate, tries=1, given=given)
    return attrs.evolve(found, otherwise=otherwise)


def assumed(declaration: Declaration, told: Mapping[str, Any]) -> Conditions:
    """Return the assumptions that `check` was told of.

    Raises:
        NormdslError: for a name that is no part of the rule.
    """
    labels = declaration.labels
    parts = {text(x, labels): x for x in walk(declaration.update)}
    parts.update({name: x for x, name in labels.items()})
    found: set[Assumption] = set()
    for word, names in told.items():
        for part in _chosen(declaration, word, names, parts):
            found.add(Assumption(WORDS[word], part))
    return frozenset(found)


def _chosen(
    declaration: Declaration, word: str, names: Any, parts: Mapping[str, Expr]
) -> Iterable[Expr]:
    if names is True:
        return parts.values()
    listed = names.split(",") if isinstance(names, str) else list(names or ())
    wanted = [name.strip() for name in listed]
    for name in wanted:
        if name not in parts:
            raise NormdslError(
                f"assume {word} = {name!r} of {declaration.name}",
                why="the rule has no part of that name",
                hint="its names are " + ", ".join(declaration.labels.values()),
            )
    return [parts[name] for name in wanted]


def _runs(declaration: Declaration) -> Remarks:
    """Return whether the rule's own runs are finite; torch is imported only if that is open."""
    if not may_stop(declaration.update):
        return Remarks()
    from normdsl.compiler.finiteness import remarks

    return remarks(declaration)


def _simulate(experiment: Experiment) -> list[float]:
    """Run twins, what says nothing left out; torch is imported here, for witnesses only."""
    if experiment.pairs:
        from normdsl.compiler.sampling import differences

        return differences(experiment)
    from normdsl.compiler.drift import drifts

    return drifts(experiment)
