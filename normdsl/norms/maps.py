"""Invertible linear maps of m×n matrices, along which a norm is pulled back: ‖X‖_T = ‖T X‖.

Each map states T, T⁻¹, T* and T⁻* as expressions; where it is singular, the pseudo-inverse.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import attrs

from normdsl.errors import DeclarationError, DomainError, ShapeError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import is_constant
from normdsl.expressions.shapes import LEFT, MATRIX, RIGHT, Shape, Size, Space, broadcast
from normdsl.show.latex import latex
from normdsl.show.notation import Notation, Piece
from normdsl.show.text import text
from normdsl.vocabulary.entrywise import reciprocal
from normdsl.vocabulary.matrices import inverse


@attrs.frozen(repr=False)
class LinearMap(ABC):
    """A linear map T on m×n matrices."""

    @abstractmethod
    def apply(self, x: Expr) -> Expr:
        """Return T x."""

    @abstractmethod
    def inverse(self, y: Expr) -> Expr:
        """Return T⁻¹ y."""

    @abstractmethod
    def adjoint(self, y: Expr) -> Expr:
        """Return T* y, with ⟨T x, y⟩ = ⟨x, T* y⟩."""

    @abstractmethod
    def adjoint_inverse(self, x: Expr) -> Expr:
        """Return T⁻* x."""

    @abstractmethod
    def write(self, inner: Piece, n: Notation) -> Piece:
        """Write T inner in a notation."""

    def _notate(self, n: Notation) -> Piece:
        return self.write(n.symbol("X"), n)

    def __str__(self) -> str:
        return f"X ↦ {text(self)}"

    def __repr__(self) -> str:
        return f"<map {self}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle X \\mapsto {latex(self)}$"


def _require(what: str, expr: Expr, shape: Shape) -> None:
    if expr.shape != shape and not (expr.shape.square and _is_named(expr.shape)):
        raise ShapeError(
            f"precondition with {expr.shape.phrase} as the {what}",
            at=expr,
            why=f"the {what} of an m×n matrix is {shape}",
            hint="G @ G.T is m×m, G.T @ G is n×n, G * G is m×n",
        )
    if is_constant(expr, 0):
        raise _no_map(what, expr)


def _is_named(shape: Shape) -> bool:
    """Return whether an axis is that of a parameter of several, with a length of its own."""
    return any(isinstance(x, Space | Size) for x in (shape.rows, shape.cols))


def _no_rotation(turn: Expr) -> DomainError:
    return DomainError(
        "rotate a norm",
        at=turn,
        why="‖Q_Lᵀ X Q_R‖ has the LMO Q_L lmo(Q_Lᵀ M Q_R) Q_Rᵀ if QᵀQ = I, and that is not known",
        hint="use nd.eigenbasis(S), nd.eye_like(S), transposes, products and past values of them "
        "(nd.prev(Q, init=nd.eye_like(Q))); for another invertible matrix use left= or right=",
    )


def _no_map(what: str, factor: Expr) -> DeclarationError:
    return DeclarationError(
        f"precondition with zero as the {what}",
        at=factor,
        why="‖T X‖ is a norm for an invertible T only",
        hint="leave it out, or use a statistic such as nd.ema(G @ G.T, 0.9)",
    )


@attrs.frozen(repr=False)
class Left(LinearMap):
    """X ↦ L X with an m×m matrix L."""

    factor: Expr

    def __attrs_post_init__(self) -> None:
        _require("left factor", self.factor, LEFT)

    def apply(self, x: Expr) -> Expr:
        return self.factor @ x

    def inverse(self, y: Expr) -> Expr:
        return inverse(self.factor) @ y

    def adjoint(self, y: Expr) -> Expr:
        return self.factor.T @ y

    def adjoint_inverse(self, x: Expr) -> Expr:
        return inverse(self.factor).T @ x

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.chain(self.factor, inner)


@attrs.frozen(repr=False)
class Right(LinearMap):
    """X ↦ X R with an n×n matrix R."""

    factor: Expr

    def __attrs_post_init__(self) -> None:
        _require("right factor", self.factor, RIGHT)

    def apply(self, x: Expr) -> Expr:
        return x @ self.factor

    def inverse(self, y: Expr) -> Expr:
        return y @ inverse(self.factor)

    def adjoint(self, y: Expr) -> Expr:
        return y @ self.factor.T

    def adjoint_inverse(self, x: Expr) -> Expr:
        return x @ inverse(self.factor).T

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.chain(inner, self.factor)


@attrs.frozen(repr=False)
class Hadamard(LinearMap):
    """X ↦ D ∘ X with an m×n array D (or one that broadcasts to it)."""

    weights: Expr

    def __attrs_post_init__(self) -> None:
        shape = self.weights.shape
        broad = broadcast(shape, MATRIX) == MATRIX or _is_named(shape)
        _require("entrywise weights", self.weights, self.weights.shape if broad else MATRIX)

    def apply(self, x: Expr) -> Expr:
        return self.weights * x

    def inverse(self, y: Expr) -> Expr:
        return reciprocal(self.weights) * y

    def adjoint(self, y: Expr) -> Expr:
        return self.apply(y)

    def adjoint_inverse(self, x: Expr) -> Expr:
        return self.inverse(x)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.product(self.weights, inner, entrywise=True)


@attrs.frozen(repr=False)
class Rotate(LinearMap):
    """X ↦ Q_Lᵀ X Q_R with orthogonal Q_L (m×m) and Q_R (n×n): coordinates in two eigenbases.

    Raises:
        DomainError: if one of them is not known to be orthogonal.
    """

    left: Expr
    right: Expr

    def __attrs_post_init__(self) -> None:
        _require("left rotation", self.left, LEFT)
        _require("right rotation", self.right, RIGHT)
        for turn in (self.left, self.right):
            if not turn.facts.orthogonal:
                raise _no_rotation(turn)

    def apply(self, x: Expr) -> Expr:
        return self.left.T @ x @ self.right

    def inverse(self, y: Expr) -> Expr:
        return self.left @ y @ self.right.T

    def adjoint(self, y: Expr) -> Expr:
        return self.inverse(y)

    def adjoint_inverse(self, x: Expr) -> Expr:
        return self.apply(x)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.chain(n.chain(self.left.T, inner), self.right)


@attrs.frozen(repr=False)
class Compose(LinearMap):
    """X ↦ T_k … T_2 T_1 X; the first map is applied first."""

    maps: tuple[LinearMap, ...]

    def apply(self, x: Expr) -> Expr:
        for step in self.maps:
            x = step.apply(x)
        return x

    def inverse(self, y: Expr) -> Expr:
        for step in reversed(self.maps):
            y = step.inverse(y)
        return y

    def adjoint(self, y: Expr) -> Expr:
        for step in reversed(self.maps):
            y = step.adjoint(y)
        return y

    def adjoint_inverse(self, x: Expr) -> Expr:
        for step in self.maps:
            x = step.adjoint_inverse(x)
        return x

    def write(self, inner: Piece, n: Notation) -> Piece:
        for step in self.maps:
            inner = step.write(inner, n)
        return inner
