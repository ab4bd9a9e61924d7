"""Normal forms with products multiplied out: sums of words of matrices with scalars in front.

Two ways of writing one matrix polynomial have one form: products are distributed over sums, and
scalars are pulled out of products, sums, traces and polar factors; a trace does not depend on where
its word begins, and a sum over columns of one over rows is one over both. Factors that would make
sums too long are not multiplied out, so that nothing grows without bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import attrs

from normdsl.compiler.invariance.forms import Form, joined
from normdsl.compiler.invariance.linear import carried_through
from normdsl.compiler.invariance.normal_form import Normal, normal_form, reduced
from normdsl.compiler.invariance.terms import (
    ONE,
    Terms,
    Word,
    added,
    collected,
    lettered,
    multiplied,
    order,
    shortened,
    spelled,
    traced,
    turned,
)
from normdsl.expressions import nodes
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Reducer
from normdsl.expressions.nodes.constants import Constant
from normdsl.expressions.recursion import Carry, State
from normdsl.expressions.shapes import SCALAR
from normdsl.norms.base import NormOperation

#: The most terms of a product that is multiplied out, and the most factors of a word.
MOST, LONGEST = 48, 24


def same(x: Expr, y: Expr) -> bool:
    """Return whether two expressions are known to have equal values, however they are written."""
    if normal_form(x) == normal_form(y):
        return True
    expanded = Expanded({})
    return expanded(x) == expanded(y)


class Expanded(Normal):
    """Computes normal forms with products multiplied out."""

    def __init__(self, places: dict[Carry, int]) -> None:
        super().__init__(places)
        self._terms: dict[Expr, Terms] = {}
        self._positive: set[Form] = set()

    def terms(self, expr: Expr) -> Terms:
        """Return the terms of an expression: a coefficient for each word with its scalars."""
        if expr not in self._terms:
            self._terms[expr] = self._expand(expr)
        return self._terms[expr]

    def _visit(self, expr: Expr) -> Form:
        return collected(self.terms(expr))

    def _expand(self, expr: Expr) -> Terms:
        match expr:
            case NormOperation():
                return self.terms(expr.definition)
            case Constant(value=value, dims=dims):
                ones = () if dims == SCALAR else (super()._visit(Constant(ONE, dims)),)
                return {((), ones): value} if value else {}
            case n.Add(left=x, right=y) if x.shape == y.shape:
                return added([self.terms(x), self.terms(y)])
            case n.Mul(left=x, right=y):
                return self._multiple(expr, x, y)
            case n.Pow(base=x, exponent=Constant(value=p)) if x.shape == SCALAR:
                return self._power(expr, self.terms(x), p)
            case n.MatMul():
                found = self._product([self.terms(x) for x in factors(expr)])
                return traced(found) if expr.shape == SCALAR else found
            case n.Transpose(arg=x):
                return {(scalars, turned(word)): c for (scalars, word), c in self.terms(x).items()}
            case nodes.Inner(left=nodes.Eye() as x, right=State() as y) if expr.whole:
                return self._of_state(expr, y, lambda arg: nodes.Inner(x, arg))
            case nodes.Inner(left=x, right=y) if expr.whole or expr.shape == SCALAR:
                return traced(self._product([self.terms(n.transpose(x)), self.terms(y)]))
            case nodes.Reduce():
                return self._reduced(expr)
            case nodes.Polar(arg=x) | nodes.SingularLmo(arg=x):
                return self._of_degree_zero(expr, self.terms(x))
            case _:
                return self._letter(expr)

    def _letter(self, expr: Expr) -> Terms:
        """Return an expression as a term of its own."""
        form = super()._visit(expr)
        if expr.facts.low > 0:
            self._positive.add(form)
        return {(((form, 1),), ()) if expr.shape == SCALAR else ((), (form,)): ONE}

    def _multiple(self, expr: Expr, x: Expr, y: Expr) -> Terms:
        """Return an entrywise product: of matrices, the products of their words as letters."""
        one, two = self.terms(x), self.terms(y)
        if len(one) * len(two) > max(MOST, len(one), len(two)):
            return self._letter(expr)
        entrywise = SCALAR not in (x.shape, y.shape)

        def join(a: Word, b: Word) -> Word:
            return (joined("Mul", [spelled(a), spelled(b)]),) if entrywise else a + b

        return multiplied(one, two, join)

    def _power(self, expr: Expr, base: Terms, p: Fraction) -> Terms:
        """Return a whole power of a single term; others are letters."""
        if len(base) != 1 or p.denominator != 1 or abs(p) > LONGEST:
            return self._letter(expr)
        (((scalars, word), c),) = base.items()
        return {(tuple((form, k * int(p)) for form, k in scalars), word): c ** int(p)}

    def _product(self, parts: list[Terms]) -> Terms:
        """Return a matrix product, multiplied out as far as it does not get too long."""
        while math.prod(map(len, parts)) > MOST:
            most = max(map(len, parts))
            parts = [{((), (collected(p),)): ONE} if len(p) == most else p for p in parts]
        found: Terms = {((), ()): ONE}
        for part in parts:
            found = multiplied(found, part, lambda a, b: a + b)
        return added([{(s, shortened(word)): c} for (s, word), c in found.items()])

    def _reduced(self, expr: nodes.Reduce) -> Terms:
        """Return a sum or maximum over axes, of what is itself one as one over all of them."""
        rows, cols, arg = expr.over_rows, expr.over_cols, expr.arg
        if expr.shape == SCALAR:
            rows = cols = True
        while isinstance(arg, nodes.Reduce) and arg.reducer is expr.reducer:
            rows, cols, arg = rows or arg.over_rows, cols or arg.over_cols, arg.arg
        if expr.reducer is not Reducer.SUM:
            return lettered(reduced(expr.reducer, self(arg), rows, cols))
        if isinstance(arg, State):
            summed = nodes.Reduce(Reducer.SUM, arg, rows, cols)
            return self._of_state(summed, arg, lambda x: nodes.Reduce(Reducer.SUM, x, rows, cols))
        if isinstance(arg, nodes.Inner):
            rows, cols = rows or arg.over_rows, cols or arg.over_cols
            return self.terms(nodes.Inner(arg.left, arg.right, rows, cols))
        sums = [
            multiplied({(scalars, ()): c}, lettered(reduced(Reducer.SUM, spelled(w), rows, cols)))
            for (scalars, w), c in self.terms(arg).items()
        ]
        return added(sums)

    def _of_state(self, expr: Expr, state: State, function: Callable[[Expr], Expr]) -> Terms:
        """Return a linear function of a state as the state of that function, if it is one."""
        carried = carried_through(state, function)
        return self._letter(expr) if carried is None else self.terms(carried)

    def _of_degree_zero(self, expr: Expr, terms: Terms) -> Terms:
        """Return f(c X) as f(X), and f(−X) as −f(X), for c > 0."""
        if not terms:
            return {}
        lead = min(terms, key=order)
        shared = [x for x in lead[0] if x[0] in self._positive and all(x in s for s, _ in terms)]
        size = abs(terms[lead])
        sign = 1 if terms[lead] > 0 else -1
        plain = {
            (tuple(x for x in s if x not in shared), w): sign * c / size
            for (s, w), c in terms.items()
        }
        made = attrs.evolve(self._plain(expr), parts=(collected(plain),))
        return {((), (made,)): Fraction(sign)}


def factors(expr: Expr) -> list[Expr]:
    """Return the factors of a matrix product in order; the rest as one, once there are many."""
    found: list[Expr] = []
    stack = [expr]
    while stack:
        top = stack.pop()
        room = len(found) + len(stack) < LONGEST
        match top:
            case n.MatMul(left=x, right=y) if room:
                stack += [y, x]
            case n.Transpose(arg=n.MatMul(left=x, right=y)) if room:
                stack += [n.transpose(x), n.transpose(y)]
            case _:
                found.append(top)
    return found
