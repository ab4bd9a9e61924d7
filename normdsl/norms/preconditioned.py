"""A norm pulled back along a linear map, ‖X‖_T = ‖T X‖, and the paper's preconditioned norms.

A preconditioner may also stand on one side of the LMO alone, which is another notion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.streams import G
from normdsl.norms.base import Norm
from normdsl.norms.maps import Compose, Hadamard, Left, LinearMap, Right, Rotate
from normdsl.show.latex import latex
from normdsl.show.notation import Notation, Piece
from normdsl.show.text import text


@attrs.frozen(repr=False)
class Preconditioned(Norm):
    """‖X‖_T = ‖T X‖: lmo_T(M) = T⁻¹ lmo(T⁻* M), ‖M‖_{T,*} = ‖T⁻* M‖_* (arXiv:2510.10777).

    Args:
        base: the norm. map: the linear map T.
    """

    base: Norm
    map: LinearMap

    @property
    def isometries(self) -> None:
        """None: the step is equivariant when T̃ = U T ρ(g), as its definition shows."""
        return None

    def define_value(self, x: Expr) -> Expr:
        return self.base.value(self.map.apply(x))

    def define_dual(self, m: Expr) -> Expr:
        return self.base.dual(self.map.adjoint_inverse(m))

    def define_lmo(self, m: Expr) -> Expr:
        return self.map.inverse(self.base.lmo(self.map.adjoint_inverse(m)))

    def define_sharp(self, m: Expr) -> Expr:
        return self.map.inverse(self.base.sharp(self.map.adjoint_inverse(m)))

    def write(self, inner: Piece, n: Notation) -> Piece:
        return self.base.write(self.map.write(inner, n), n)


@attrs.frozen(repr=False)
class Position(ABC):
    """A preconditioner on one side of a norm's LMO alone, which is not the LMO of any norm.

    Args:
        base: the norm. map: the linear map T.
    """

    base: Norm
    map: LinearMap

    def lmo(self, m: Any) -> Expr:
        """Return the step in place of argmin_{‖x‖≤1} ⟨m, x⟩."""
        return self._outside(self.base.lmo(self._inside(as_expr(m))))

    def sharp(self, m: Any) -> Expr:
        """Return the step in place of argmax_x ⟨m, x⟩ − ½‖x‖²."""
        return self._outside(self.base.sharp(self._inside(as_expr(m))))

    @abstractmethod
    def _inside(self, m: Expr) -> Expr: ...

    @abstractmethod
    def _outside(self, x: Expr) -> Expr: ...

    def dual(self, m: Any) -> Expr:
        """Raise an error, since it is not a norm.

        Raises:
            DeclarationError: always.
        """
        raise DeclarationError(
            f"take the norm of a preconditioner that stands on one side of {self.base}",
            at=as_expr(m),
            why="T⁻¹ lmo(M) and lmo(T⁻* M) are not LMOs of norms, and inherit none of its theorems",
            hint="use nd.preconditioned, or .dual and .value of the base norm",
        )

    value = dual

    def __str__(self) -> str:
        return text(self.lmo(G))

    def __repr__(self) -> str:
        return f"<position {self}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {latex(self.lmo(G))}$"


@attrs.frozen(repr=False)
class InnerOnly(Position):
    """lmo(T⁻* M): what the LMO sees is preconditioned, its result is not (Turbo-Muon, MuonEq)."""

    def _inside(self, m: Expr) -> Expr:
        return self.map.adjoint_inverse(m)

    def _outside(self, x: Expr) -> Expr:
        return x


@attrs.frozen(repr=False)
class OuterOnly(Position):
    """T⁻¹ lmo(M): the LMO's result is preconditioned, what it sees is not (AdaMuon, NorMuon)."""

    def _inside(self, m: Expr) -> Expr:
        return m

    def _outside(self, x: Expr) -> Expr:
        return self.map.inverse(x)


def inner_only(norm: Norm, **parts: Any) -> InnerOnly:
    """Precondition what an LMO sees, and not its result: lmo(T⁻* M).

    The arguments are those of `nd.preconditioned`; the result has `lmo` and `sharp`, and is not a
    norm.

    Example:
        >>> import normdsl as nd
        >>> position = nd.inner_only(nd.spectral, left=nd.matrix_power(nd.G @ nd.G.T, 1 / 4))
        >>> print(position.lmo(nd.G))
        lmo[‖X‖₂]((G Gᵀ)⁻¹ᐟ⁴ G)
    """
    return InnerOnly(norm, _map(norm, **parts))


def outer_only(norm: Norm, **parts: Any) -> OuterOnly:
    """Precondition the result of an LMO, and not what it sees: T⁻¹ lmo(M).

    The arguments are those of `nd.preconditioned`; the result has `lmo` and `sharp`, and is not a
    norm.

    Example:
        >>> import normdsl as nd
        >>> position = nd.outer_only(nd.spectral, hadamard=nd.sqrt(nd.ema(nd.G * nd.G, 0.9)))
        >>> print(position.lmo(nd.G))
        (√fix(9/10 s_old + 1/10 G²))^+ ∘ lmo[‖X‖₂](G)
    """
    return OuterOnly(norm, _map(norm, **parts))


def preconditioned(
    norm: Norm,
    *,
    left: Any = None,
    right: Any = None,
    rotate: tuple[Any, Any] | None = None,
    hadamard: Any = None,
) -> Preconditioned:
    """Return the norm of X after a linear map: ‖D ∘ (L Q_Lᵀ X Q_R R)‖, with the parts given.

    Args:
        norm: the base norm.
        left: L, m×m, in the paper's ‖L X R‖.
        right: R, n×n.
        rotate: (Q_L, Q_R), m×m and n×n, known to be orthogonal, applied first: ‖Q_Lᵀ X Q_R‖.
        hadamard: D, m×n, applied last: ‖D ∘ X‖.

    Raises:
        DeclarationError: if no part is given, or one that is zero.
        DomainError: if a rotation is not known to be orthogonal.
        ShapeError: if a part has another shape.

    Example:
        >>> import normdsl as nd
        >>> norm = nd.preconditioned(nd.spectral, hadamard=nd.abs(nd.W))
        >>> print(norm)
        ‖abs(W) ∘ X‖₂
        >>> print(norm.lmo(nd.G).definition)
        abs(W)^+ ∘ lmo[‖X‖₂](abs(W)^+ ∘ G)
    """
    parts = {"left": left, "right": right, "rotate": rotate, "hadamard": hadamard}
    return Preconditioned(norm, _map(norm, **parts))


def _map(
    norm: Norm,
    *,
    left: Any = None,
    right: Any = None,
    rotate: tuple[Any, Any] | None = None,
    hadamard: Any = None,
) -> LinearMap:
    """Return the linear map of the parts that are given."""
    if not isinstance(norm, Norm):
        raise DeclarationError(
            f"precondition {norm!r}",
            why="it is not a norm",
            hint="use nd.frobenius, nd.spectral or nd.max_entry",
        )
    maps: list[LinearMap] = []
    if rotate is not None:
        maps.append(Rotate(as_expr(rotate[0]), as_expr(rotate[1])))
    if left is not None:
        maps.append(Left(as_expr(left)))
    if right is not None:
        maps.append(Right(as_expr(right)))
    if hadamard is not None:
        maps.append(Hadamard(as_expr(hadamard)))
    if not maps:
        raise DeclarationError(
            "precondition a norm by nothing",
            why="none of left, right, rotate and hadamard was given",
            hint="give one of them, or use the norm itself",
        )
    return maps[0] if len(maps) == 1 else Compose(tuple(maps))
