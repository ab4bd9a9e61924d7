"""The names of a declaration's sub-expressions, in the order in which they are computed."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from normdsl.declarations.identifiers import FORMULAS
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param
from normdsl.expressions.recursion import After, State
from normdsl.expressions.streams import MOMENTS
from normdsl.expressions.traversal import walk

_TAKEN = FORMULAS | {s.value for s in MOMENTS}


def labels(update: Expr, names: Iterable[tuple[str, Expr]]) -> dict[Expr, str]:
    """Return a distinct name for every expression its author named, and for every state.

    They come in the author's order, moved where needed so that each uses only earlier ones.
    A state its author did not name is called after the named expression it first appears in; one
    that remembers a named expression has no name but that.
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
        inside = walk(root)
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
    return MappingProxyType(found)


def _name(found: dict[Expr, str], taken: set[str], expr: Expr, wish: str) -> None:
    name, k = wish, 1
    while name in taken or keyword.iskeyword(name):
        k += 1
        name = f"{wish.rstrip('0123456789')}{k}"
    taken.add(name)
    found[expr] = name
