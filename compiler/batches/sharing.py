"""Sharing: which scalars of several rules are one scalar, over all layers of an optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

import attrs

from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.refresh import combined
from normdsl.errors import DeclarationError
from normdsl.expressions.gauge import Gauge
from normdsl.expressions.nodes import Across, Measure, Reducer, Shared
from normdsl.expressions.origins import Origin

#: What each rule contributes; several, if it has several scalars for the same purpose.
Held = dict[Stepper, list[Across]]


@attrs.frozen(eq=False)
class Scalar:
    """A sum or maximum over the layers of several rules.

    Args:
        nodes: for each rule what it contributes, and how its step calls the result.
    """

    nodes: Mapping[Stepper, Across]

    @property
    def node(self) -> Across:
        """What the first rule contributes."""
        return next(iter(self.nodes.values()))

    @property
    def reducer(self) -> Reducer:
        """How contributions are combined."""
        return self.node.reducer


@lru_cache(maxsize=256)
def scalars(steppers: tuple[Stepper, ...]) -> tuple[Scalar, ...]:
    """Return the scalars that rules share, or have of their own, each after those it depends on.

    Unnamed sums and maxima are one where they combine the same expression. Norms over layers of one
    name (or none) are one norm, and named sums and maxima one scalar, whatever the rules combine.
    A rule with several scalars for one purpose shares them with rules that have the same ones.

    Raises:
        DeclarationError: where it is not clear what is one; where a norm has two gauges; or if two
            scalars wait for each other.
    """
    found: dict[object, Held] = {}
    for stepper in steppers:
        for node in stepper.program.layers:
            key = node if node.shared is None else (node.shared, node.reducer)
            found.setdefault(key, {}).setdefault(stepper, []).append(node)
    _require_one_gauge(found.values())
    return _ordered([scalar for held in found.values() for scalar in _joined(held)])


def _joined(held: Held) -> Iterator[Scalar]:
    """Yield the scalars of one purpose."""
    kinds = {frozenset(nodes) for nodes in held.values()}
    several = any(len(kind) > 1 for kind in kinds)
    shared = next(iter(held.values()))[0].shared
    if several and (len(kinds) > 1 or (shared and shared.measure is Measure.SCALAR)):
        raise _ambiguous(held)
    _require_like(held, shared)
    for place in range(max(map(len, held.values()))):
        same = next(iter(held.values()))[place]
        yield Scalar({s: same if several else nodes[0] for s, nodes in held.items()})


def _require_one_gauge(found: Iterable[Held]) -> None:
    """Refuse a norm that rules combine by different gauges."""
    gauges: dict[tuple[Measure, str | None], dict[Stepper, set[Gauge]]] = {}
    for held in found:
        for stepper, nodes in held.items():
            shared = nodes[0].shared
            if shared is not None and shared.by is not None:
                norm = shared.measure, shared.name
                gauges.setdefault(norm, {}).setdefault(stepper, set()).add(shared.by)
    for (measure, _), each in gauges.items():
        if len({frozenset(by) for by in each.values()}) > 1:
            told = [f"{_rule(s)} by {', '.join(sorted(map(str, by)))}" for s, by in each.items()]
            raise DeclarationError(
                "combine one norm of all layers by two gauges",
                why=f"rules of one optimizer share the {measure.value} of all their layers, and "
                f"these combine it differently: {'; '.join(told)}",
                hint="combine it by one gauge, or keep two norms apart by names: "
                'nd.over_layers(norm, gauge, name="hidden")',
            )


def _require_like(held: Held, shared: Shared | None) -> None:
    """Refuse contributions with facts in one rule that do not hold in another."""
    nodes = [node for nodes in held.values() for node in nodes]
    if shared is None or len(held) < 2:
        return
    if shared.measure is Measure.SCALAR:
        unlike: set[bool | None]
        unlike, what = {x.facts.nonnegative for x in nodes}, "is known to be ≥ 0"
    else:
        unlike, what = {_of_gradients(x) for x in nodes} - {None}, "depends on gradients"
    if len(unlike) > 1:
        raise DeclarationError(
            f"share the {shared} among {_rules(held)}",
            at=nodes[0],
            why=f"what one of them contributes {what}, and what another one does not",
            hint="contribute quantities of one kind, or give them names of their own",
        )


def _of_gradients(node: Across) -> bool | None:
    """Return whether a scalar is one of gradients, not of weights alone; None if of neither."""
    if node.origins & (Origin.GRADIENT | Origin.MOMENTS):
        return True
    return False if Origin.WEIGHTS in node.origins else None


def _ambiguous(held: Held) -> DeclarationError:
    stepper, nodes = max(held.items(), key=lambda pair: len(pair[1]))
    shared = nodes[0].shared
    assert shared is not None
    own = "nd.over_layers(norm, gauge, name=…)" if shared.by else 'over="layers", name=…'
    return DeclarationError(
        f"share the {shared} among {_rules(held)}",
        at=nodes[1],
        why=f"{_rule(stepper)} has {len(nodes)} scalars for it, and it is not clear to which of "
        "them the layers of other rules contribute",
        hint=f"give each a name of its own, the same in all rules: {own}",
    )


def _ordered(found: Sequence[Scalar]) -> tuple[Scalar, ...]:
    """Return scalars, each after those it depends on in any rule."""
    place = {(s, x): k for k, scalar in enumerate(found) for s, x in scalar.nodes.items()}
    needs = {
        k: {place[s, x] for s, node in scalar.nodes.items() for x in combined([node.arg])}
        for k, scalar in enumerate(found)
    }
    try:
        return tuple(found[k] for k in TopologicalSorter(needs).static_order())
    except CycleError as error:
        waiting = [found[k].node for k in error.args[1][:2]]
        raise DeclarationError(
            "share scalars among rules",
            at=waiting[0],
            why="in one rule it depends on another scalar of all layers, which depends on it in "
            "another rule, so that neither can be computed first",
            hint="give the scalars of one of the rules names of their own",
        ) from error


def _rule(stepper: Stepper) -> str:
    return stepper.program.declaration.name


def _rules(held: Held) -> str:
    return ", ".join(dict.fromkeys(map(_rule, held)))
