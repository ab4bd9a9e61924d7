"""Faults to put into the checker: a changed law, a dropped condition, a lost refusal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import attrs

from normdsl.compiler.invariance import rules
from normdsl.compiler.invariance.conditions import Assumption, Conditions, Kind
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.index_rules import Refusal
from normdsl.compiler.invariance.laws import Law
from normdsl.compiler.invariance.rules import Outcome
from normdsl.expressions.expr import Expr

Rule = Callable[[Expr, Sequence[Law], Group], list[Outcome]]


@attrs.frozen(eq=False)
class Fault:
    """A fault in one function, or in what a dispatcher or a class has for one class.

    Args:
        target: the function or class. put: puts it in place for the length of a `with`.
    """

    target: Any
    put: Callable[[], AbstractContextManager[Any]]


def replaced(original: Any, change: Any) -> Fault:
    """Return the fault of `change` in place of a function, wherever the checker knows it."""
    return Fault(original, partial(_replaced, original, change))


@contextmanager
def _replaced(original: Any, change: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for module, attribute, value in _names():
            if value is original:
                stack.enter_context(mock.patch.object(module, attribute, change))
        forget()
        yield
    forget()


def _names() -> Iterator[tuple[Any, str, Any]]:
    for name, module in list(sys.modules.items()):
        if name.startswith("normdsl.compiler.invariance"):
            for attribute, value in list(vars(module).items()):
                yield module, attribute, value


def forget() -> None:
    """Empty the checker's caches."""
    for _, _, value in _names():
        getattr(value, "cache_clear", lambda: None)()


def member(owner: Any, name: str, value: Any) -> Fault:
    """Return the fault of another value for an attribute of a class."""
    return Fault(owner, lambda: mock.patch.object(owner, name, value))


def dispatched(dispatcher: Any, cls: type, change: Callable[[Any], Any]) -> Fault:
    """Return the fault of another function for one class of a dispatcher."""
    return Fault(cls, partial(_dispatched, dispatcher, cls, change))


@contextmanager
def _dispatched(dispatcher: Any, cls: type, change: Callable[[Any], Any]) -> Iterator[None]:
    original = dispatcher.dispatch(cls)
    dispatcher.register(cls, change(original))
    try:
        yield
    finally:
        dispatcher.register(cls, original)


def changed(cls: type, change: Callable[[Outcome, Sequence[Law], Group], Outcome]) -> Fault:
    """Return the fault of a change to every outcome of a rule."""

    def mutate(original: Rule) -> Rule:
        return lambda node, known, group: [
            change(o, known, group) for o in original(node, known, group)
        ]

    return dispatched(rules.rule, cls, mutate)


def law(cls: type, change: Callable[[Law, Sequence[Law]], dict[str, Any]]) -> Fault:
    """Return the fault of other parts in the laws that a rule proves."""

    def apply(o: Outcome, known: Sequence[Law], group: Group) -> Outcome:
        return attrs.evolve(o, law=attrs.evolve(o.law, **change(o.law, known)))

    return changed(cls, apply)


def claims(cls: type, claimed: Callable[[Group], Law]) -> Fault:
    """Return the fault of a rule that claims one law, whatever its arguments."""
    return dispatched(
        rules.rule, cls, lambda _: lambda node, known, group: [Outcome(claimed(group), "claimed")]
    )


def lenient(cls: type) -> Fault:
    """Return the fault of a rule that gives the law of its first argument instead of refusing."""

    def mutate(original: Rule) -> Rule:
        def mutant(node: Expr, known: Sequence[Law], group: Group) -> list[Outcome]:
            try:
                return original(node, known, group)
            except Refusal:
                return [Outcome(known[0], "accepted")]

        return mutant

    return dispatched(rules.rule, cls, mutate)


def without(cls: type, kind: Kind) -> Fault:
    """Return the fault of a rule that drops the assumptions of a kind."""

    def apply(o: Outcome, known: Sequence[Law], group: Group) -> Outcome:
        return attrs.evolve(o, conditions=unassumed(o.conditions, kind))

    return changed(cls, apply)


def unassumed(conditions: Conditions, kind: Kind) -> Conditions:
    return frozenset(c for c in conditions if not (isinstance(c, Assumption) and c.kind is kind))
