"""Random well-typed declarations, drawn by hypothesis from a grammar of the language."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from grammar import GRAMMARS, Grammar
from grammar.core import DECAY, LR, PARAMETERS, Sort, Term, Variable, primal
from grammar.leaves import unit
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

import normdsl as nd
from normdsl import W
from normdsl.declaration import Declaration
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.errors import NormdslError
from normdsl.expressions import nodes
from normdsl.expressions.expr import Expr
from normdsl.expressions.traversal import walk

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
    lambda step: nd.step(W - LR * step, evaluate=W - LR * step / 2),
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


def explored(key: int, depth: int, phases: Sequence[Phase]) -> Callable[[Any], Any]:
    """Return a decorator that calls a function with the simplest declaration, and a random one."""

    def decorate(test: Callable[[Declaration], None]) -> Callable[[], None]:
        limits = settings(
            max_examples=2,
            phases=phases,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        return seed(key)(limits(given(programs(depth))(test)))

    return decorate


def drawn(key: int, depth: int = DEPTH) -> Declaration:
    """Return a random declaration, the same one for the same key."""
    found: list[Declaration] = []

    @explored(key, depth, [Phase.generate])
    def collect(declaration: Declaration) -> None:
        found.append(declaration)

    collect()
    return found[-1]


def sample(count: int, number: int = 0, depth: int = DEPTH) -> dict[int, Declaration]:
    """Return `count` different declarations by their keys, the same ones for the same number."""
    found: dict[Expr, int] = {}
    chosen: dict[int, Declaration] = {}
    for key in itertools.count(1_000_000 * number):
        if len(chosen) == count:
            return chosen
        declaration = drawn(key, depth)
        if found.setdefault(declaration.update, key) == key:
            chosen[key] = declaration
    raise AssertionError


def smallest(key: int, fails: Callable[[Declaration], bool]) -> Declaration:
    """Return a smallest declaration that still fails, shrinking from a random one."""
    best = [drawn(key)]
    start, armed = best[0].update, [False]

    @explored(key, DEPTH, [Phase.generate, Phase.shrink])
    def shrink(declaration: Declaration) -> None:
        armed[0] = armed[0] or declaration.update == start
        if armed[0] and fails(declaration):
            best[0] = declaration
            raise AssertionError

    with contextlib.suppress(AssertionError):
        shrink()
    return best[0]
