"""How large the rank of a matrix can be, and for which shapes of W it can be full.

An upper bound is the least of some forms a m + b n + d m n + c in the rows m and columns n of W:
rank(G) ≤ min(m, n), rank(X Y) ≤ min(rank X, rank Y), rank(X + Y) ≤ rank X + rank Y.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import attrs

from normdsl.compiler.invariance.initial_values import FirstStep
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.recursion import After, Before
from normdsl.expressions.shapes import SCALAR, Dim, Length, Shape, Space
from normdsl.expressions.traversal import replace, walk
from normdsl.norms.base import NormOperation


@attrs.frozen(order=True)
class Form:
    """The number a m + b n + c + d m n, and multiples of the dimensions of spaces.

    Args:
        rows: a. cols: b. rest: c. entries: d. spaces: names of spaces, each with its multiple.
    """

    rows: int = 0
    cols: int = 0
    rest: int = 0
    entries: int = 0
    spaces: tuple[tuple[str, int], ...] = ()

    @property
    def _numbers(self) -> tuple[int, ...]:
        return self.rows, self.cols, self.rest, self.entries

    def __add__(self, other: Form) -> Form:
        total = Counter(dict(self.spaces)) + Counter(dict(other.spaces))
        pairs = zip(self._numbers, other._numbers, strict=True)
        rows, cols, rest, entries = (a + b for a, b in pairs)
        return Form(rows, cols, rest, entries, tuple(sorted(total.items())))

    def covers(self, other: Form) -> bool:
        """Return whether it is at least the other one, whatever the lengths are."""
        pairs = zip(self._numbers, other._numbers, strict=True)
        own = dict(self.spaces)
        spaces = all(own.get(name, 0) >= count for name, count in other.spaces)
        return spaces and all(a >= b for a, b in pairs)

    @property
    def fixed(self) -> bool:
        """Whether it is the same for all shapes."""
        return self.rows == self.cols == self.entries == 0 and not self.spaces

    def show(self, names: tuple[str, str]) -> str:
        """Return it as text, with names for the rows and the columns of W."""
        counts = [(names[0], self.rows), (names[1], self.cols), (" ".join(names), self.entries)]
        parts = [name if k == 1 else f"{k} {name}" for name, k in (*counts, *self.spaces) if k]
        return " + ".join([*parts, *([str(self.rest)] if self.rest or not parts else [])])


Bound = frozenset[Form]  # the least of its forms
_LENGTHS: dict[Length, Form] = {
    Dim.M: Form(rows=1),
    Dim.N: Form(cols=1),
    Dim.ONE: Form(rest=1),
    Dim.MN: Form(entries=1),
}
#: The most forms kept of a bound.
_MOST = 12


def missing(matrix: Expr, short: int = 0) -> list[Form]:
    """Return the forms that must be at least the size of a square matrix, or `short` less.

    For its rank to be full, or at most `short` below, at every step; none if all shapes will do.
    """
    full, spare = size(matrix), Form(rest=short)
    return sorted(f + spare for f in rank(matrix) if not (f + spare).covers(full))


def size(matrix: Expr) -> Form:
    """Return the number of rows of a matrix; nothing is asked of one with another length."""
    forms = [_form(x) for x in (matrix.shape.rows, matrix.shape.cols)]
    return Form() if None in forms else forms[0] or Form()


def _form(length: Length) -> Form | None:
    """Return a length as a form; None for a rank."""
    if isinstance(length, Space):
        return Form(spaces=((length.name, 1),))
    return _LENGTHS.get(length)


@lru_cache(maxsize=1024)
def rank(expr: Expr) -> Bound:
    """Return a bound of the rank that an expression has at the first step, where it is lowest.

    What is zero at first, where every law holds, is looked at one step later.
    """
    started = FirstStep()(expr)
    if is_constant(started, 0):
        started = FirstStep()(_begun(expr))
    known: dict[Expr, Bound] = {}
    for node in walk(started):
        known[node] = _least(_bound(node, known) | _of_shape(node.shape))
    return known[started]


def _begun(expr: Expr) -> Expr:
    """Return an expression with states that start from 0 as they are after the step."""
    return replace(
        expr,
        {
            x: After(x.recursion, x.index, where=None)
            for x in walk(expr)
            if isinstance(x, Before) and is_constant(x.recursion.inits[x.index], 0)
        },
    )


def _of_shape(shape: Shape) -> Bound:
    forms = (_form(x) for x in (shape.rows, shape.cols))
    return frozenset(form for form in forms if form is not None)


def _least(forms: Iterable[Form]) -> Bound:
    """Return the forms that can be the least one; of very many, some."""
    listed = sorted(set(forms), key=lambda f: (f.rows + f.cols + len(f.spaces), f.rest))
    kept = [f for f in listed if not any(f != g and f.covers(g) for g in listed)]
    return frozenset(kept[:_MOST])


def _bound(node: Expr, known: dict[Expr, Bound]) -> Bound:
    """Return the bound of a node that follows from those of its children; empty if none does."""
    match node:
        case Constant():
            return frozenset({Form(rest=0 if node.value == 0 else 1)})
        case n.Add(left=x, right=y):
            return frozenset(a + b for a in known[x] for b in known[y])
        case n.MatMul(left=x, right=y):
            return known[x] | known[y]
        case n.Mul(left=x, right=y):
            return _scaled(x, y, known) | _scaled(y, x, known)
        case n.Transpose(arg=x) | nodes.Inverse(arg=x) | nodes.Cholesky(arg=x) | nodes.Polar(arg=x):
            return known[x]
        case nodes.MatrixPower(arg=x, exponent=Constant(value=p)) if p != 0:
            return known[x]
        case NormOperation() if node.definition is not None and node.shape != SCALAR:
            return rank(node.definition)
        case _:
            return frozenset()


def _scaled(array: Expr, factor: Expr, known: dict[Expr, Bound]) -> Bound:
    """Return the bound of an entrywise product with an array of rank one: that of the other."""
    single = factor.shape == SCALAR or Form(rest=1) in known[factor]
    return known[array] if single else frozenset()
