"""Assumptions that `check` takes by name: parts of a rule, in the words of its verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from normdsl.compiler.invariance.conditions import Assumption, Conditions, Kind
from normdsl.compiler.invariance.lines import other_names
from normdsl.compiler.invariance.naming import Names, complete, names_of, seen_from_outside
from normdsl.declarations.folding import Folding
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param, Selection, TopSingular
from normdsl.expressions.nodes.constants import as_expr, exact
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import State, free_carries
from normdsl.expressions.shapes import Dim, Rank
from normdsl.expressions.traversal import walk
from normdsl.near import did_you_mean
from normdsl.norms.base import NormOperation
from normdsl.show.symbols import unicode_symbol
from normdsl.show.text import text

#: The words for assumptions that are not numbers.
WORDS = {
    "transported": Kind.TRANSPORTED,
    "unmoved": Kind.UNMOVED,
    "full_rank": Kind.FULL_RANK,
    "distinct": Kind.DISTINCT,
    "separated": Kind.SEPARATED,
    "untied": Kind.UNTIED,
    "scaled": Kind.FLOOR,
}
#: Why an assumption is not about a part.
_MISFITS = {
    Kind.TRANSPORTED: "only a state has a start, and this is not a state",
    Kind.UNMOVED: "only a state has a start, and this is not a state",
    Kind.FLOOR: "only a hyper-parameter can be scaled along with the loss, and this is not one",
    Kind.FULL_RANK: "only the rank of a square matrix, or of columns as many as a rank, can be "
    "assumed",
    Kind.SEPARATED: "only a matrix has singular values",
    Kind.UNTIED: "only scores in a column are selected by",
    Kind.DISTINCT: "only a square matrix has eigenvalues, and this is not square",
}


def assumed(declaration: Rule, told: Mapping[str, Any], fixed: Mapping[str, float]) -> Conditions:
    """Return the assumptions given to `check`; one about every part also without a part.

    Args:
        declaration: the rule. told: names by word, such as `full_rank`.
        fixed: its hyper-parameters that were fixed to numbers.

    Raises:
        NormdslError: for a name that no part of the rule has, for anything but names, or for a
            state that is to start unmoved although it starts from W.
    """
    found: set[Any] = set()
    given = {w: names for w, names in told.items() if names is not None and names is not False}
    parts = named_parts(declaration, fixed) if given else {}
    for word, names in given.items():
        if names is True:
            fitting = [x for x in _needing(WORDS[word], parts) if _fits(WORDS[word], x)]
            listed = [x for x in fitting if not _moved_by_weights(WORDS[word], x)]
            found.add(WORDS[word])
        else:
            listed = _chosen(declaration, word, names, parts)
            _require_unmoved(word, listed, parts)
        found |= {Assumption(WORDS[word], x) for x in listed}
    return frozenset(found)


def _needing(kind: Kind, parts: Mapping[str, Expr]) -> Iterable[Expr]:
    """Return the parts that an assumption on all of them is about."""
    node = {Kind.SEPARATED: TopSingular, Kind.UNTIED: Selection}.get(kind)
    if node is None:
        return parts.values()
    return [x.arg for x in parts.values() if isinstance(x, node)]


def _moved_by_weights(kind: Kind, part: Expr) -> bool:
    """Return whether a start is assumed not to move, although it is made of W."""
    unmoved = kind is Kind.UNMOVED and isinstance(part, State)
    return unmoved and Origin.WEIGHTS in part.recursion.inits[part.index].origins


def _require_unmoved(word: str, listed: Iterable[Expr], parts: Mapping[str, Expr]) -> None:
    for part in listed:
        if isinstance(part, State) and _moved_by_weights(WORDS[word], part):
            name = next(name for name, x in parts.items() if x == part)
            raise NormdslError(
                f"assume that {name} starts unmoved",
                at=part,
                why=f"{name} starts as {part.recursion.inits[part.index]}, and moves at the start "
                "as W does",
                hint="leave it out: the law of such a start is inferred, and there is nothing to "
                "assume",
            )


def _fits(kind: Kind, part: Expr) -> bool:
    """Return whether an assumption can be about a part at all."""
    if kind in (Kind.TRANSPORTED, Kind.UNMOVED):
        return isinstance(part, State)
    if kind is Kind.FLOOR:
        return isinstance(part, Param)
    lengths = (part.shape.rows, part.shape.cols)
    if kind is Kind.SEPARATED:
        return Dim.ONE not in lengths
    if kind is Kind.UNTIED:
        return part.shape.is_line
    ranked = kind is Kind.FULL_RANK and any(isinstance(x, Rank) for x in lengths)
    return part.shape.square or (ranked and Dim.ONE not in lengths)


def named_parts(declaration: Rule, fixed: Mapping[str, float]) -> dict[str, Expr]:
    """Return every part of a rule by what it is called and by how it is written.

    Hyper-parameters that are fixed are numbers in it; names are those before and after.
    """
    bound = declaration.bind(**fixed) if fixed else declaration
    names = complete(names_of(bound), [bound.update])
    parts: dict[str, Expr] = {}
    for x in _all_parts(bound.update):
        parts.setdefault(text(x, names), x)
        parts.setdefault(text(x, other_names(x, names)), x)
    params = {h.name: Param(h.name, h.domain, where=None) for h in declaration.hyper}
    folding = Folding({params[name]: as_expr(exact(value)) for name, value in fixed.items()})
    called = {**params, **{name: folding(x) for x, name in _first(names_of(declaration))}}
    called |= {name: x for x, name in _first(names)}
    symbols = {unicode_symbol(name): x for name, x in called.items()}
    return {**parts, **symbols, **called}


def _first(names: Names) -> Iterator[tuple[Expr, str]]:
    """Yield named expressions that have a value outside of recursions, the first of a name last."""
    yield from ((x, name) for x, name in reversed(names.items()) if not free_carries(x))


def _all_parts(update: Expr) -> Iterator[Expr]:
    """Yield all sub-expressions, those of norms' definitions too, as they are seen from outside."""
    inside = dict.fromkeys(walk(update))
    for x in list(inside):
        if isinstance(x, NormOperation):
            inside.update(dict.fromkeys(walk(x.definition)))
    yield from (x for x in seen_from_outside(update, inside) if not free_carries(x))


def _chosen(declaration: Rule, word: str, names: Any, parts: Mapping[str, Expr]) -> list[Expr]:
    """Return the parts that a text or a list names.

    Raises:
        NormdslError: for an unknown name, or for anything but a text or a list of texts.
    """
    if isinstance(names, Expr):
        listed: list[Any] = [names]
    elif isinstance(names, str):
        listed = [names] if names in parts else _split(names)
    else:
        listed = list(names) if isinstance(names, Iterable) else [None]
    plain = {_plain(name): x for name, x in reversed(list(parts.items()))}
    found = []
    for name in listed:
        asked = f"assume {word} = {name!r} of {declaration.name}"
        if isinstance(name, Expr) and name in parts.values():
            found.append(name)
            continue
        if not isinstance(name, str):
            raise NormdslError(
                f"assume {word} = {names!r} of {declaration.name}",
                why="that names no part of the rule",
                hint=f'pass names, {word}="{", ".join(_examples(declaration))}", or True for all',
            )
        part = parts.get(name.strip(), plain.get(_plain(name)))
        if part is None:
            raise NormdslError(
                asked,
                why="the rule has no part of that name",
                hint="write a part as verdicts do; "
                + did_you_mean(name, declaration.labels.values(), "its names are"),
            )
        if not _fits(WORDS[word], part):
            raise NormdslError(asked, at=part, why=_MISFITS[WORDS[word]], hint="name another part")
        found.append(part)
    return found


def _examples(declaration: Rule) -> list[str]:
    return list(declaration.labels.values())[:2] or ["G Gᵀ"]


def _split(names: str) -> list[str]:
    """Return names listed in a text, at commas and "and" outside brackets."""
    found, depth = [""], 0
    for piece in re.split(r"(,|\band\b|[(\[)\]])", names):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(piece, 0)
        if depth == 0 and piece in (",", "and"):
            found.append("")
        else:
            found[-1] += piece
    return [name.strip() for name in found if name.strip()]


def _plain(name: str) -> str:
    """Return a text without what Python and mathematics write differently: G @ G.T is G Gᵀ."""
    return re.sub(r"[\s@*∘]", "", name.replace(".T", "ᵀ").replace("-", "−"))
