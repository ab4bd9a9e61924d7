"""The names of a declaration's sub-expressions, in the order in which they are computed."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from normdsl.declarations.identifiers import FORMULAS
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.recursion import After, Before, State, free_carries
from normdsl.expressions.streams import MOMENTS
from normdsl.expressions.traversal import walk

#: A formula of more operations than this is written with names for what occurs in it repeatedly,
#: if that is made of so many.
_LONGEST, _WORTH_A_NAME = 100, 5
_TAKEN = FORMULAS | {s.value for s in MOMENTS}


def labels(update: Expr, names: Iterable[tuple[str, Expr]]) -> dict[Expr, str]:
    """Return a distinct name for every expression its author named, and for every state.

    They come in the author's order, moved where needed so that each uses only earlier ones.
    A state its author did not name is called after the named expression it first appears in; one
    that remembers a named expression has no name but that. What a long formula repeats is numbered.
    """
    return dict(_labels(update, tuple(names)))


@lru_cache(maxsize=256)
def _labels(update: Expr, names: tuple[tuple[str, Expr], ...]) -> Mapping[Expr, str]:
    given: dict[Expr, str] = {}
    order = walk(update)
    states = {x.recursion for x in order if isinstance(x, State)}
    present = {*order, *(After(r, i) for r in states for i in range(len(r.inits)))}
    for name, expr in names:
        if expr.children and expr != update and expr in present:
            given.setdefault(expr, name)
    taken = {x.name for x in order if isinstance(x, Param)} | _TAKEN
    found: dict[Expr, str] = {}
    for root in [*given, update]:
        inside, repeated = walk(root), _repeated(root, given)
        for place, expr in enumerate(inside):
            if expr in given and expr not in found:
                _name(found, taken, expr, given[expr])
            elif isinstance(expr, State):
                after = After(expr.recursion, expr.index, where=expr.where)
                remembered = expr.recursion.remembers(expr.index)
                if after not in found and after not in given and remembered not in given:
                    owners = (given[x] for x in inside[place:] if x in given and expr in walk(x))
                    owner = next(owners, None)
                    _name(found, taken, after, f"{owner}_buffer" if owner else "s1")
            elif expr in repeated and expr not in found:
                _name(found, taken, expr, given.get(root, "x").rstrip("0123456789") + "1")
    return MappingProxyType(_ordered(found))


def _ordered(found: Mapping[Expr, str]) -> dict[Expr, str]:
    """Return the names with each after those that its formula uses; else in the order they have."""
    needs = {expr: _used(expr, found) for expr in found}
    done: dict[Expr, str] = {}
    while len(done) < len(found):
        left = [expr for expr in found if expr not in done]
        ready = (expr for expr in left if all(used in done for used in needs[expr]))
        expr = next(ready, left[0])
        done[expr] = found[expr]
    return done


def _used(expr: Expr, named: Container[Expr]) -> list[Expr]:
    """Return what a formula is written with the names of."""
    meant = expr
    if isinstance(expr, After):
        seen = expr.seen
        meant = expr.recursion.bodies[expr.index] if seen is None else seen
    stack, used = [meant], dict[Expr, None]()
    known: set[Expr] = set()
    while stack:
        top = stack.pop()
        if top in named and top not in (expr, meant):
            used[top] = None
        elif top not in known and not isinstance(top, Before):
            known.add(top)
            stack += reversed(top.children)
    return list(used)


def _repeated(root: Expr, given: Mapping[Expr, str]) -> set[Expr]:
    """Return the parts that occur repeatedly in a formula, if it is long when written out."""
    inside = walk(root)
    sizes: dict[Expr, int] = {}
    for x in inside:
        sizes[x] = 1 + sum(
            1 if y in given or isinstance(y, State) else sizes[y] for y in x.children
        )
    if sizes[root] <= _LONGEST:
        return set()
    uses = Counter(y for x in inside for y in x.children)
    often = (x for x, count in uses.items() if count > 1 and sizes[x] >= _WORTH_A_NAME)
    return {x for x in often if not free_carries(x)}


def _name(found: dict[Expr, str], taken: set[str], expr: Expr, wish: str) -> None:
    name, k = wish, 1
    while name in taken or keyword.iskeyword(name):
        k += 1
        name = f"{wish.rstrip('0123456789')}{k}"
    taken.add(name)
    found[expr] = name
