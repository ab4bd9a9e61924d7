"""A norm pulled back along a linear map, ‖X‖_T = ‖T X‖, and the paper's preconditioned norms."""

from __future__ import annotations

from typing import Any

import attrs

from normdsl.errors import DeclarationError
from normdsl.expr import Expr, as_expr
from normdsl.maps import Compose, Hadamard, Left, LinearMap, Right, Rotate
from normdsl.norms.base import Norm
from normdsl.show.notation import Notation, Piece


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
        """None: the step is equivariant when T̃ = U T ρ(g), which typing the definition decides."""
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


def preconditioned(
    norm: Norm,
    *,
    left: Any = None,
    right: Any = None,
    rotate: tuple[Any, Any] | None = None,
    hadamard: Any = None,
) -> Preconditioned:
    """Return ‖X‖ = ‖D ∘ (L Q_Lᵀ X Q_R R)‖ for the parts that are given.

    Args:
        norm: the base norm.
        left: L, m×m, in the paper's ‖L X R‖.
        right: R, n×n.
        rotate: (Q_L, Q_R), orthogonal m×m and n×n, applied first: ‖Q_Lᵀ X Q_R‖.
        hadamard: D, m×n, applied last: ‖D ∘ X‖.

    Raises:
        DeclarationError: if no part is given.
        ShapeError: if a part has another shape.
    """
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
    return Preconditioned(norm, maps[0] if len(maps) == 1 else Compose(tuple(maps)))
