"""Random well-typed declarations, drawn by hypothesis from a grammar of the language."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from grammar import GRAMMARS, Grammar
from grammar.core import DECAY, LR, PARAMETERS, Sort, Term, Variable, primal
from grammar.leaves import unit
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

import normdsl as nd
from normdsl import W, nodes
from normdsl.declaration import Declaration, Hyperparameter
from normdsl.errors import NormdslError
from normdsl.expr import Expr
from normdsl.graph import walk

MOST_NODES = 60
DEPTH = 3


@st.composite
def terms(draw: Any, grammar: Grammar, sort: Sort, depth: int, scope: tuple[Sort, ...]) -> Term:
    """Draw a term of a sort, at most `depth` productions deep, over the states in scope."""
    states = [Variable(k) for k, s in enumerate(scope) if s == sort]
    chosen = draw(st.sampled_from([*states, *grammar.options(sort, depth)]))

    def below(part: Sort, *more: Sort) -> Term:
        return draw(terms(grammar, part, depth - 1, (*scope, *more)))

    return chosen.draw(below)


#: How a step enters the rule; most rules forget the size of their step, or keep it.
UPDATES: tuple[Callable[[Expr], Expr], ...] = (
    lambda step: W - LR * step,
    lambda step: W - LR * unit(step),
    lambda step: W + LR * nd.spectral.lmo(step),
    lambda step: W + LR * nd.max_entry.lmo(step),
    lambda step: (1 - LR * DECAY) * W - LR * step,
    lambda step: W - LR * nd.loss / nd.inner(step, step) * step,
)


def declared(update: Expr) -> Declaration:
    """Return the declaration of an update, with the hyper-parameters it uses."""
    used = {x.name for x in walk(update) if isinstance(x, nodes.Param)}
    hyper = tuple(
        Hyperparameter(name, default, domain)
        for name, (domain, default) in PARAMETERS.items()
        if name in used
    )
    return Declaration("program", hyper, update)


@st.composite
def programs(draw: Any, depth: int = DEPTH) -> Declaration:
    """Draw a well-typed declaration."""
    grammar = draw(st.sampled_from(GRAMMARS))
    term = draw(terms(grammar, grammar.step, draw(st.integers(0, depth)), ()))
    roles = grammar.step == primal
    update = draw(st.sampled_from(UPDATES[:1] if roles and draw(st.integers(0, 3)) else UPDATES))
    try:
        declaration = declared(update(term(())))
    except NormdslError:
        assume(False)
    assume(len(walk(declaration.update)) <= MOST_NODES)
    return declaration


def explored(count: int, number: int, depth: int, phases: Sequence[Phase]) -> Callable[[Any], Any]:
    """Return a decorator that calls a function with random declarations, always the same."""

    def decorate(test: Callable[[Declaration], None]) -> Callable[[], None]:
        limits = settings(
            max_examples=3 * count,
            phases=phases,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        return seed(number)(limits(given(programs(depth))(test)))

    return decorate


def sample(count: int, number: int = 0, depth: int = DEPTH) -> list[Declaration]:
    """Return `count` different declarations, the same ones for the same number."""
    found: dict[Expr, Declaration] = {}

    @explored(count, number, depth, [Phase.generate])
    def collect(declaration: Declaration) -> None:
        if len(found) < count:
            found.setdefault(declaration.update, declaration)

    collect()
    return list(found.values())


def smallest(
    count: int, number: int, start: Declaration, fails: Callable[[Declaration], bool]
) -> Declaration:
    """Return a smallest declaration that still fails, shrinking from one of a sample."""
    best = [start]
    armed = [False]

    @explored(count, number, DEPTH, [Phase.generate, Phase.shrink])
    def shrink(declaration: Declaration) -> None:
        armed[0] = armed[0] or declaration.update == start.update
        if armed[0] and fails(declaration):
            best[0] = declaration
            raise AssertionError

    with contextlib.suppress(AssertionError):
        shrink()
    return best[0]
