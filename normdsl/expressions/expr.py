"""Expressions: immutable arrays of symbols.

An expression is a frozen value. Two expressions are equal when they have the same structure; where
they were written is a note that equality ignores. Shapes are inferred, and refused, when a node
is built. What `+`, `*`, `**`, `@`, `abs`, `.T` and `<` build, `normdsl.expressions.algebra` says.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from fractions import Fraction
from typing import Any, ClassVar, Protocol

import attrs

from normdsl.errors import DeclarationError
from normdsl.expressions.conduct import Footprint, Role
from normdsl.expressions.facts import UNKNOWN, Facts
from normdsl.expressions.origins import ANYTHING, SAME, Origin, joined
from normdsl.expressions.refusals import Symbolic
from normdsl.expressions.shapes import Shape
from normdsl.expressions.structure import fingerprint, parts
from normdsl.show.latex import latex
from normdsl.show.notation import Notation, Piece
from normdsl.show.text import text
from normdsl.source import Where, here

#: Passes recurse into expressions; deeper ones are refused when they are built.
DEEPEST = 120


class Kinds(ABCMeta):
    """The class of classes of expressions: abstract ones have no other subclasses than those named.

    So `isinstance`, which passes ask millions of times, is as fast as of any other class.
    """

    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__


@attrs.frozen(eq=False, repr=False)
class Expr(Symbolic, metaclass=Kinds):
    """An array whose entries are not known yet: a stream, a symbol, or an operation on others.

    Attributes:
        where: the user's source line that built it.
        children: the expressions it is computed from, in order.
        shape: its inferred `Shape`.
        facts: what is known of its values (`Facts`).
        assured: what is known of them for another reason than its structure (`assure`).
        origins: what its values come from (`Origin`).
        fingerprint: digest of its structure; equality and hash rest on it.
        depth: how deeply operations are nested in it.

    Example:
        >>> import normdsl as nd
        >>> step = -0.1 * nd.G
        >>> print(nd.W + step)
        W + (−1/10) G
        >>> isinstance(step, nd.Expr), str(step.shape)
        (True, 'm×n')
    """

    #: What operators build; nodes are subclasses, so it is told once they are defined.
    algebra: ClassVar[Algebra]
    #: Whether it is the identity matrix, which products leave out.
    is_identity = False
    #: Whether its columns are directions, and states in their coordinates turn along with them.
    is_basis = False
    #: Whether ⟨f(x), x⟩ is never negative (1) or never positive (−1), for f(x) of one argument x.
    slope = 0
    #: Whether only the compiler builds it, so that no declaration in JSON may contain it.
    internal = False

    where: Where | None = attrs.field(factory=here, kw_only=True, metadata={"note": True})
    assured: Facts = attrs.field(default=UNKNOWN, kw_only=True, metadata={"note": True})
    children: tuple[Expr, ...] = attrs.field(init=False)
    shape: Shape = attrs.field(init=False)
    facts: Facts = attrs.field(init=False)
    origins: Origin = attrs.field(init=False)
    fingerprint: bytes = attrs.field(init=False)
    depth: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "children", tuple(parts(self, Expr)))
        object.__setattr__(self, "shape", self._infer_shape())
        inferred = self._infer_facts()
        known = inferred if self.assured == UNKNOWN else inferred & self.assured
        object.__setattr__(self, "facts", known)
        object.__setattr__(self, "origins", self._infer_origins())
        object.__setattr__(self, "fingerprint", fingerprint(self))
        depth = 1
        for child in self.children:
            depth = max(depth, 1 + child.depth)
        object.__setattr__(self, "depth", depth)
        if depth > DEEPEST:
            raise DeclarationError(
                "build an expression",
                why=f"it is nested more than {DEEPEST} operations deep",
                hint="name parts of it as recursions, or add terms in balanced groups",
            )

    @property
    def sign_like(self) -> Expr:
        """An expression whose entries have the sign of these: x of x³ or of tanh x."""
        return self

    @property
    def negated(self) -> Expr | None:
        """The x of what is written −x, otherwise None."""
        return None

    @property
    def terms(self) -> tuple[Expr, ...]:
        """The two terms of a sum, or of the transpose of one; of anything else, none."""
        return ()

    @property
    def factors(self) -> tuple[Expr, ...]:
        """The two factors of an entrywise product; of anything else, none."""
        return ()

    @property
    def as_product(self) -> Product | None:
        """What is a product of matrices, split once; otherwise None."""
        return None

    def simpler(self) -> Expr | None:
        """Return an equal expression that its operands show to be simpler, or None.

        Constructors, folding and the simplification of the compiler all use this one list.
        """
        return None

    @property
    @abstractmethod
    def footprint(self) -> Footprint:
        """On which entries of its arguments an entry depends."""

    @property
    @abstractmethod
    def role(self) -> Role | None:
        """The role by which a schedule names its method; None for sums, products and functions."""

    @property
    @abstractmethod
    def commutes_with_transpose(self) -> bool:
        """Whether f(xᵀ, yᵀ, …) = f(x, y, …)ᵀ."""

    @property
    @abstractmethod
    def zero_with(self) -> tuple[Expr, ...]:
        """The arguments each of which makes it zero, if it is zero."""

    @property
    @abstractmethod
    def jumps_with(self) -> tuple[Expr, ...]:
        """The arguments at whose zero it need not be continuous."""

    @abstractmethod
    def _infer_shape(self) -> Shape:
        """Return the shape, or raise `ShapeError`."""

    def _infer_facts(self) -> Facts:
        """Return what is known of the values, or raise `DomainError`."""
        return UNKNOWN

    def _inherited_by(self, other: Expr) -> Expr:
        """Return `other`, which a pass puts in the place of this, with what is assured of this."""
        return assure(other, self.assured)

    def _infer_origins(self) -> Origin:
        """Return what the values come from; a node that does not say so may depend on anything."""
        return ANYTHING

    @property
    def varies(self) -> bool:
        """Whether runs with other weights, losses or random draws may have another value."""
        return not self.origins.within(SAME)

    @abstractmethod
    def _notate(self, n: Notation) -> Piece:
        """Write the formula in the notation."""

    def _notate_negative(self, n: Notation) -> Piece:
        """Write −self."""
        return n.negative(self)

    def _notate_root(self, n: Notation) -> Piece:
        """Write √self."""
        return n.root(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float | Fraction):
            self._refuse_equation(other)
        return isinstance(other, Expr) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return int.from_bytes(self.fingerprint[:8], "big")

    def __str__(self) -> str:
        return text(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.shape}: {self}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {latex(self)}$"

    def __add__(self, other: Any) -> Expr:
        return self.algebra.add(self, self.algebra.as_expr(other))

    def __radd__(self, other: Any) -> Expr:
        return self.algebra.add(self.algebra.as_expr(other), self)

    def __sub__(self, other: Any) -> Expr:
        return self.algebra.add(self, -self.algebra.as_expr(other))

    def __rsub__(self, other: Any) -> Expr:
        return self.algebra.add(self.algebra.as_expr(other), -self)

    def __mul__(self, other: Any) -> Expr:
        if getattr(other, "takes_factors", False):
            return NotImplemented
        return self.algebra.mul(self, self.algebra.as_expr(other))

    def __rmul__(self, other: Any) -> Expr:
        return self.algebra.mul(self.algebra.as_expr(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return self * self.algebra.as_expr(other) ** -1

    def __rtruediv__(self, other: Any) -> Expr:
        return self.algebra.as_expr(other) * self**-1

    def __pow__(self, other: Any) -> Expr:
        return self.algebra.power(self, self.algebra.as_expr(other))

    def __rpow__(self, other: Any) -> Expr:
        return self.algebra.power(self.algebra.as_expr(other), self)

    def __pos__(self) -> Expr:
        return self

    def __neg__(self) -> Expr:
        return self.algebra.mul(self.algebra.as_expr(-1), self)

    def __abs__(self) -> Expr:
        return self.algebra.absolute(self)

    def __lt__(self, other: Any) -> Any:
        return self.algebra.compare("<", self, self.algebra.as_expr(other))

    def __le__(self, other: Any) -> Any:
        return self.algebra.compare("<=", self, self.algebra.as_expr(other))

    def __gt__(self, other: Any) -> Any:
        return self.algebra.compare(">", self, self.algebra.as_expr(other))

    def __ge__(self, other: Any) -> Any:
        return self.algebra.compare(">=", self, self.algebra.as_expr(other))

    def __matmul__(self, other: Any) -> Expr:
        return self.algebra.matmul(self, self.algebra.as_expr(other))

    def __rmatmul__(self, other: Any) -> Expr:
        return self.algebra.matmul(self.algebra.as_expr(other), self)

    @property
    def T(self) -> Expr:
        """The transpose."""
        return self.algebra.transpose(self)

    @property
    def mT(self) -> Expr:
        """The transpose, as torch calls it."""
        return self.T


@attrs.frozen(eq=False, repr=False)
class Operation(Expr):
    """An expression that is a function of its children and of nothing else."""

    def _infer_origins(self) -> Origin:
        return joined(self.children)


@attrs.frozen(eq=False, repr=False)
class Entrywise(Operation):
    """An operation that does the same to every entry, in sums and products of scalars."""

    footprint = Footprint.OWN
    role = None
    commutes_with_transpose = True


class Leaf(Expr):
    """An expression without arguments."""

    __slots__ = ()
    role = None
    commutes_with_transpose = False
    zero_with = ()
    jumps_with = ()


@attrs.frozen
class Factor:
    """A factor of a product of matrices: a matrix, or the diagonal matrix of a row of entries."""

    entries: Expr
    diagonal: bool = False

    @property
    def transposed(self) -> Factor:
        """The factor of the transposed product; a diagonal matrix is its own."""
        return self if self.diagonal else Factor(self.entries.T)


@attrs.frozen
class Product:
    """A product of scalars and of matrices, in order."""

    scalars: tuple[Expr, ...]
    factors: tuple[Factor, ...]


class Algebra(Protocol):
    """The constructors that the operators of expressions call."""

    def as_expr(self, value: Any) -> Expr:
        """Return a number, or an expression, as an expression."""

    def add(self, left: Expr, right: Expr) -> Expr:
        """Return left + right."""

    def mul(self, left: Expr, right: Expr) -> Expr:
        """Return left ∘ right."""

    def power(self, base: Expr, exponent: Expr) -> Expr:
        """Return base^exponent."""

    def absolute(self, arg: Expr) -> Expr:
        """Return |arg|."""

    def matmul(self, left: Expr, right: Expr) -> Expr:
        """Return the matrix product left · right."""

    def transpose(self, arg: Expr) -> Expr:
        """Return the transpose."""

    def compare(self, relation: str, left: Expr, right: Expr) -> Any:
        """Return left < right, or another comparison, as what `nd.where` chooses by."""


def assure(expr: Expr, facts: Facts) -> Expr:
    """Return an expression with facts that its structure does not show.

    A rewrite knows them of what it replaces: ‖m‖_* ≥ 0 is not seen in ⟨m, polar(m)⟩. They are no
    part of equality, and passes hand them on (`structure.rebuild`).
    """
    known = expr.facts
    if known is facts or known == facts or known & facts == known:
        return expr
    return attrs.evolve(expr, assured=facts & expr.assured)


def how_nonnegative(expr: Expr) -> str:
    """Return what to write for an expression whose sign is not known, where ≥ 0 is needed."""
    shown = str(expr) if expr.depth == 1 else "x"
    if hasattr(expr, "domain"):
        return f"annotate it: {shown}: nd.NonNegative, or nd.Positive"
    never = f"if it is never negative, nd.maximum({shown}, 0)"
    return f"use nd.abs({shown}), {shown} ** 2, or, {never}"


def simplest(node: Expr) -> Expr:
    """Return a node, or the simpler expression that it is equal to."""
    found = node.simpler()
    return node if found is None else found
