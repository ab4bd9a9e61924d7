"""Choices: one of two values, by how two others compare."""

from __future__ import annotations

import enum
from typing import NoReturn

import attrs

from normdsl.errors import DeclarationError, ShapeError
from normdsl.expressions.expr import Entrywise, Expr
from normdsl.expressions.facts import Facts
from normdsl.expressions.nodes.arithmetic import add, mul, pointwise
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.refusals import Symbolic
from normdsl.expressions.shapes import SCALAR, Shape, broadcast
from normdsl.show.notation import Notation, Piece
from normdsl.show.text import text
from normdsl.source import Operands, here
from normdsl.source import Where as Line


class Relation(enum.Enum):
    """How two numbers compare; the value is how Python writes it."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="

    def holds(self, x: float, y: float) -> bool:
        """Return whether two numbers compare so."""
        if self in (Relation.BELOW, Relation.AT_MOST):
            x, y = y, x
        return x > y if self in (Relation.BELOW, Relation.ABOVE) else x >= y

    def decided(self, x: Facts, y: Facts) -> bool | None:
        """Return whether it holds of all values with such bounds, or of none; None if unknown."""
        if self in (Relation.BELOW, Relation.AT_MOST):
            x, y = y, x
        strict = self in (Relation.BELOW, Relation.ABOVE)
        if x.low > y.high or (not strict and x.low >= y.high):
            return True
        return False if x.high < y.low or (strict and x.high <= y.low) else None


@attrs.frozen(order=False)
class Condition(Symbolic):
    """x < y, entry by entry: what `nd.where` chooses by. It has no value in a declaration.

    Args:
        relation: which of <, ≤, > and ≥. left: x. right: y. where: the user's source line.
    """

    relation: Relation
    left: Expr
    right: Expr
    where: Line | None = attrs.field(factory=here, kw_only=True, eq=False)

    def __attrs_post_init__(self) -> None:
        pointwise(self.left, "compare", self.left, self.right)

    def __str__(self) -> str:
        return f"{text(self.left)} {self.relation.value} {text(self.right)}"

    def _refuse_branch(self, *_: object) -> NoReturn:
        raise DeclarationError(
            "branch on a comparison of expressions",
            at=self,
            why="an expression is a formula, and has no values when the rule is declared",
            hint=f"write nd.where({self}, a, b), one inside another for several conditions; the "
            "larger of two is nd.maximum, the smaller one nd.minimum",
        )

    __bool__ = __and__ = __rand__ = __or__ = __ror__ = __invert__ = _refuse_branch

    def _refuse_value(self, *_: object) -> NoReturn:
        raise DeclarationError(
            "calculate with a comparison of expressions",
            at=self,
            why="it is true or false at each entry, and neither of them is a number",
            hint=f"write nd.where({self}, 1, 0)",
        )

    __expr__ = __neg__ = __add__ = __radd__ = __sub__ = __rsub__ = _refuse_value
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = __pow__ = _refuse_value


def compare(relation: str, left: Expr, right: Expr) -> Condition:
    """Return left < right, or another comparison, as a condition."""
    return Condition(Relation(relation), left, right)


@attrs.frozen(eq=False, repr=False)
class Where(Entrywise):
    """`yes` where left < right, `no` elsewhere, entry by entry; or by another relation.

    Args:
        relation: how they are compared. left, right: what is compared. yes, no: what is chosen.
    """

    zero_with = ()

    relation: Relation
    left: Expr
    right: Expr
    yes: Expr
    no: Expr

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The difference of what is compared, at whose zero the choice changes."""
        return (add(self.left, mul(as_expr(-1), self.right)),)

    @property
    def compared(self) -> Shape:
        """The shape of the condition."""
        return pointwise(self, "compare", self.left, self.right)

    @property
    def chosen(self) -> Shape:
        """The shape of what is chosen from."""
        return pointwise(self, "choose between", self.yes, self.no)

    def _infer_shape(self) -> Shape:
        compared, chosen = self.compared, self.chosen
        shape = broadcast(compared, chosen)
        if shape is None:
            raise ShapeError(
                f"choose an entry of {chosen.phrase} by each of {compared.phrase}",
                at=Operands(self.left, self.yes, self.where),
                why="on each axis, the two lengths must agree, or one of them must be 1",
                hint="compare what has the shape of what is chosen, or scalars",
            )
        return shape

    def _infer_facts(self) -> Facts:
        x, y = self.yes.facts, self.no.facts
        whole = self.left.shape == self.right.shape == SCALAR
        alike = all(z.shape == SCALAR or z.facts.symmetric for z in self.children)
        return Facts(
            min(x.low, y.low),
            max(x.high, y.high),
            symmetric=self.shape.square and alike,
            psd=whole and x.psd and y.psd,
            orthogonal=whole and x.orthogonal and y.orthogonal,
        )

    def simpler(self) -> Expr | None:
        """Return what is chosen, if there is one choice, or if bounds decide the comparison."""
        decided = self.relation.decided(self.left.facts, self.right.facts)
        chosen = self.yes if self.yes == self.no or decided else self.no
        known = decided is not None or self.yes == self.no
        return chosen if known and chosen.shape == self.shape else None

    def _notate(self, n: Notation) -> Piece:
        chosen: list[tuple[Piece, Expr]] = []
        last: Expr = self
        while isinstance(last, Where) and (last is self or last not in n.names):
            chosen.append((n.comparison(last.left, last.relation.value, last.right), last.yes))
            last = last.no
        return n.cases(chosen, last)
