"""What a norm is: its value, dual norm, LMO and sharp operator, and its isometries.

    lmo(M)   = argmin_{‖X‖≤1} ⟨M, X⟩                 W + lr·lmo(M): a step of fixed length
    sharp(M) = argmax_X ⟨M, X⟩ − ½‖X‖²  = −‖M‖_* lmo(M)      W − lr·sharp(M): steepest descent

A declaration keeps `norm.lmo(M)` as a node of its own; a norm's `define_*` methods say what that
node means in more primitive terms. An LMO at M = 0 is 0.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from functools import cached_property, partial, reduce
from typing import TYPE_CHECKING, Any, NoReturn, overload

import attrs

from normdsl.errors import DeclarationError, ShapeError
from normdsl.expressions.conduct import Footprint
from normdsl.expressions.expr import Expr, Operation, assure
from normdsl.expressions.facts import NONNEGATIVE, Facts
from normdsl.expressions.matrix_classes import Isometries
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.origins import Origin
from normdsl.expressions.shapes import MATRIX, SCALAR, Dim, Shape
from normdsl.expressions.structure import parts
from normdsl.expressions.traversal import walk
from normdsl.norms.tensors import drawn, of
from normdsl.show.latex import latex
from normdsl.show.notation import Notation, Piece
from normdsl.show.text import text
from normdsl.source import located
from normdsl.vocabulary.entrywise import reciprocal

if TYPE_CHECKING:
    from torch import Tensor


@attrs.frozen(repr=False)
class Norm(ABC):
    """A norm ‖X‖ of m×n matrices, with its dual norm, LMO and sharp operator.

    A new norm is a subclass with the `define_*` methods it needs.

    Example:
        >>> import normdsl as nd
        >>> print(nd.spectral, nd.spectral.dual_norm)
        ‖X‖₂ ‖X‖_*
        >>> print(nd.W + 0.1 * nd.spectral.lmo(nd.G))
        W + 1/10 lmo[‖X‖₂](G)
        >>> import torch
        >>> nd.nuclear.value(torch.eye(3))
        tensor(3.)
    """

    @property
    @abstractmethod
    def isometries(self) -> Isometries | None:
        """The norm's isometries; None if they depend on values: see its definition.

        They say nothing where two runs have different norms (see `varies`).
        """

    @property
    def varies(self) -> bool:
        """Whether runs with other weights, losses or random draws may have another norm."""
        return any(x.varies for x in parts(self, Expr))

    @property
    def joins_layers(self) -> bool:
        """Whether it measures all layers together, to which other rules may contribute."""
        return any(norm.joins_layers for norm in parts(self, Norm))

    @property
    def tolerance(self) -> float:
        """Relative error of ⟨M, lmo(M)⟩ in exact arithmetic; 0 where there is a closed form."""
        return 0.0

    @property
    def dual_norm(self) -> Norm:
        """The dual norm as a norm of its own.

        Raises:
            DeclarationError: if it has no LMO here.
        """
        raise DeclarationError(
            f"use the dual of {self} as a norm",
            why="its LMO is not known",
            hint="use .dual(M), its value",
        )

    @abstractmethod
    def define_value(self, x: Expr) -> Expr:
        """Return ‖x‖."""

    @abstractmethod
    def define_dual(self, m: Expr) -> Expr:
        """Return ‖m‖_* = max_{‖x‖≤1} ⟨m, x⟩."""

    @abstractmethod
    def define_lmo(self, m: Expr) -> Expr:
        """Return a minimiser of ⟨m, x⟩ over the unit ball, 0 at m = 0."""

    def define_sharp(self, m: Expr) -> Expr:
        """Return −‖m‖_* lmo(m)."""
        return -(self.define_dual(m) * self.define_lmo(m))

    @abstractmethod
    def write(self, inner: Piece, n: Notation) -> Piece:
        """Write ‖inner‖ in a notation."""

    def _notate(self, n: Notation) -> Piece:
        return self.write(n.symbol("X"), n)

    #: Expressions leave it to norms to be multiplied by them.
    takes_factors = True

    def __rmul__(self, factor: Any) -> Norm:
        """Return the multiple factor · ‖·‖, for a factor above 0."""
        return scaled(factor, self)

    def __call__(self, *args: Any) -> NoReturn:
        """Refuse to be called: a norm has several functions, each with a name.

        Raises:
            DeclarationError: always.
        """
        x = str(args[0]) if args and isinstance(args[0], Expr) and args[0].depth == 1 else "X"
        raise DeclarationError(
            f"call the norm {self} as a function",
            why="a norm has several functions",
            hint=f"write norm.value({x}) for {self.value(args[0]) if x != 'X' else '‖X‖'}, "
            f"norm.dual({x}), norm.lmo({x}), or norm.sharp({x})",
        )

    @overload
    def lmo(self, m: Tensor) -> Tensor: ...

    @overload
    def lmo(self, m: Any) -> Lmo: ...

    def lmo(self, m: Any) -> Lmo | Tensor:
        """Return argmin_{‖x‖≤1} ⟨m, x⟩ as an expression; of a tensor, its value."""
        found: Lmo | Tensor = of(partial(Lmo, self), m)
        return found

    @overload
    def sharp(self, m: Tensor) -> Tensor: ...

    @overload
    def sharp(self, m: Any) -> Sharp: ...

    def sharp(self, m: Any) -> Sharp | Tensor:
        """Return argmax_x ⟨m, x⟩ − ½‖x‖² as an expression; of a tensor, its value."""
        found: Sharp | Tensor = of(partial(Sharp, self), m)
        return found

    @overload
    def dual(self, m: Tensor) -> Tensor: ...

    @overload
    def dual(self, m: Any) -> Dual: ...

    def dual(self, m: Any) -> Dual | Tensor:
        """Return the dual norm of m as an expression; of a tensor, its value."""
        found: Dual | Tensor = of(partial(Dual, self), m)
        return found

    @overload
    def value(self, x: Tensor) -> Tensor: ...

    @overload
    def value(self, x: Any) -> Value: ...

    def value(self, x: Any) -> Value | Tensor:
        """Return the norm of x as an expression; of a tensor, its value."""
        found: Value | Tensor = of(partial(Value, self), x)
        return found

    def plot(self, **options: Any) -> Any:
        """Draw its unit ball, dual ball and LMOs; options are those of `nd.plot.ball`."""
        return drawn(self, **options)

    def __str__(self) -> str:
        return text(self)

    def __repr__(self) -> str:
        return f"<norm {self}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {latex(self)}$"


@attrs.frozen(eq=False, repr=False)
class NormOperation(Operation):
    """An operation of a norm on a matrix; `definition` says what it is."""

    role = None
    commutes_with_transpose = False

    norm: Norm
    arg: Expr

    @property
    def footprint(self) -> Footprint:
        """That of all that its definition is made of."""
        inside = (x.footprint for x in walk(self.definition))
        return reduce(operator.or_, inside, Footprint.OWN)

    @property
    def zero_with(self) -> tuple[Expr, ...]:
        """The argument; other rules may contribute to a norm of all layers."""
        shared = self.shape == SCALAR and self.norm.joins_layers
        return () if shared else (self.arg,)

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The weights of the norm: where they vanish, it is not a norm."""
        return tuple(weight for weight in self.children if weight != self.arg)

    @cached_property
    def definition(self) -> Expr:
        """The same value in more primitive terms, at the same source line, with the same facts."""
        with located(self.where):
            return assure(self._define(), self.facts)

    @abstractmethod
    def _define(self) -> Expr: ...

    def _check(self, name: str) -> None:
        shape = self.arg.shape
        if Dim.ONE in (shape.rows, shape.cols):
            raise ShapeError(
                f"take the {name} of {shape.phrase}",
                at=self.arg,
                why="norms are norms of matrices, such as W, and this is none",
                hint="pass the gradient, a momentum, or another matrix",
            )
        if shape != MATRIX and any(map(_is_length, self.children)):
            raise ShapeError(
                f"take the {name} of {shape.phrase} in {self.norm}",
                at=self.arg,
                why="its factors are made of the rows m and columns n of W, and this is no m×n "
                "matrix",
                hint="use a norm without such factors: nd.spectral for nd.rms_to_rms, nd.frobenius "
                "for nd.rms",
            )


@attrs.frozen(eq=False, repr=False)
class Lmo(NormOperation):
    """argmin_{‖X‖≤1} ⟨arg, X⟩."""

    slope = -1

    @property
    def jumps_with(self) -> tuple[Expr, ...]:
        """The argument, and the weights of the norm."""
        return self.children

    def _infer_shape(self) -> Shape:
        self._check("LMO")
        return self.arg.shape

    def _define(self) -> Expr:
        return self.norm.define_lmo(self.arg)

    def _notate(self, n: Notation) -> Piece:
        return n.call("lmo", self.arg, sub=n(self.norm))


@attrs.frozen(eq=False, repr=False)
class Sharp(NormOperation):
    """argmax_X ⟨arg, X⟩ − ½‖X‖²."""

    slope = 1

    def _infer_shape(self) -> Shape:
        self._check("sharp operator")
        return self.arg.shape

    def _define(self) -> Expr:
        return self.norm.define_sharp(self.arg)

    def _notate(self, n: Notation) -> Piece:
        return n.call("sharp", self.arg, sub=n(self.norm))


@attrs.frozen(eq=False, repr=False)
class Dual(NormOperation):
    """max_{‖X‖≤1} ⟨arg, X⟩."""

    def _infer_shape(self) -> Shape:
        self._check("dual norm")
        return SCALAR

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE

    def _define(self) -> Expr:
        return self.norm.define_dual(self.arg)

    def _notate(self, n: Notation) -> Piece:
        return n.call("dual", self.arg, sub=n(self.norm))


@attrs.frozen(eq=False, repr=False)
class Value(NormOperation):
    """‖arg‖."""

    def _infer_shape(self) -> Shape:
        self._check("norm")
        return SCALAR

    def _infer_facts(self) -> Facts:
        return NONNEGATIVE

    def _define(self) -> Expr:
        return self.norm.define_value(self.arg)

    def _notate(self, n: Notation) -> Piece:
        return self.norm.write(n(self.arg), n)


def _is_length(weight: Expr) -> bool:
    """Return whether a weight of a norm reads the lengths of W."""
    return Origin.LENGTHS in weight.origins and not weight.varies


@attrs.frozen(repr=False)
class Scaled(Norm):
    """c ‖X‖ with c > 0: dual ‖M‖_*/c, lmo(M)/c, sharp(M)/c².

    Args:
        factor: c, a scalar known to be ≥ 0. base: the norm.
    """

    factor: Expr
    base: Norm

    def __attrs_post_init__(self) -> None:
        if self.factor.shape != SCALAR:
            raise ShapeError(
                f"multiply a norm by {self.factor.shape.phrase}",
                at=self.factor,
                why="a multiple of a norm has one factor",
                hint="use nd.preconditioned(norm, hadamard=…) for weights of the entries",
            )
        if not self.factor.facts.nonnegative or self.factor == as_expr(0):
            raise DeclarationError(
                "multiply a norm by this factor",
                at=self.factor,
                why="a multiple of a norm is one only if the factor is above 0",
                hint="use a positive number, an expression known to be ≥ 0, or nd.Positive",
            )

    @property
    def isometries(self) -> Isometries | None:
        """Those of the base, if the factor is the same in both runs."""
        return None if self.factor.varies else self.base.isometries

    @property
    def dual_norm(self) -> Norm:
        return Scaled(1 / self.factor, self.base.dual_norm)

    def define_value(self, x: Expr) -> Expr:
        return self.factor * self.base.value(x)

    def define_dual(self, m: Expr) -> Expr:
        return reciprocal(self.factor) * self.base.dual(m)

    def define_lmo(self, m: Expr) -> Expr:
        # A factor known to be ≥ 0 may still vanish in a run; the step is then 0, not infinite.
        return reciprocal(self.factor) * self.base.lmo(m)

    def define_sharp(self, m: Expr) -> Expr:
        return reciprocal(self.factor) ** 2 * self.base.sharp(m)

    def write(self, inner: Piece, n: Notation) -> Piece:
        return n.product(self.factor, self.base.write(inner, n), entrywise=False)


def scaled(factor: Any, base: Norm) -> Norm:
    """Return factor · norm, as `factor * norm` does; factors of factors are multiplied."""
    if isinstance(base, Scaled):
        return scaled(as_expr(factor) * base.factor, base.base)
    return Scaled(as_expr(factor), base)
