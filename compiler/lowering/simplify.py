"""Simplify: algebraic identities as a list of rules, applied bottom-up until none fires.

A rule takes a node and returns an equal one, or None; what is known of the node is true of it.
Sub-expressions that occur twice need no rule: expressions are values, so equal ones are computed
once.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from normdsl.compiler.lowering.definite import definite
from normdsl.compiler.lowering.rewrites import RewritingPass
from normdsl.errors import DeclarationError
from normdsl.expressions import nodes as n
from normdsl.expressions.expr import Expr, assure
from normdsl.expressions.nodes import RECIPROCAL, Apply, Eigenbasis, MatrixPower, Qr, TopSingular
from normdsl.expressions.nodes.constants import Constant, is_constant
from normdsl.expressions.recursion import Before
from normdsl.vocabulary.matrices import matrix_power

Identity = Callable[[Expr], Expr | None]
MINUS = Constant(Fraction(-1), where=None)
ONE = Constant(Fraction(1), where=None)


def identities_of_one_node(node: Expr) -> Expr | None:
    """What a node knows of itself: x + 0 = x, (xᵀ)ᵀ = x, (x⁻¹)⁻¹ = x, ….

    Exact numbers that would have too many digits stay as they are written.
    """
    try:
        return node.simpler()
    except DeclarationError:
        return None


def pull_out_minus(node: Expr) -> Expr | None:
    """X · (−y) = −(x · y), for both products and either side."""
    match node:
        case n.Mul(left=x, right=n.Mul(left=c, right=y)) if is_constant(c, -1):
            return y if is_constant(x, 1) else n.mul(MINUS, n.mul(x, y))
        case n.Mul(left=n.Mul(left=c, right=x), right=y) if is_constant(c, -1):
            return n.mul(MINUS, n.mul(x, y))
        case n.MatMul(left=x, right=n.Mul(left=c, right=y)) if is_constant(c, -1):
            return n.mul(MINUS, n.matmul(x, y))
        case n.MatMul(left=n.Mul(left=c, right=x), right=y) if is_constant(c, -1):
            return n.mul(MINUS, n.matmul(x, y))
    return None


def cancel_two_minuses(node: Expr) -> Expr | None:
    """−(−x) = x."""
    match node:
        case n.Mul(left=a, right=n.Mul(left=b, right=x)) if is_constant(a, -1) and is_constant(
            b, -1
        ):
            return x
    return None


def join_constants(node: Expr) -> Expr | None:
    """A (b x) = (a b) x for numbers a and b."""
    match node:
        case n.Mul(left=Constant() as a, right=n.Mul(left=Constant() as b, right=x)):
            return n.mul(n.mul(a, b), x)
    return None


def power_of_power(node: Expr) -> Expr | None:
    """(x^a)^b = x^(a b) for x ≥ 0."""
    match node:
        case n.Pow(base=n.Pow(base=x, exponent=a), exponent=b) if x.facts.nonnegative:
            return n.power(x, n.mul(a, b))
    return None


def product_of_powers(node: Expr) -> Expr | None:
    """x^a ∘ x^b = x^(a + b) for x ≥ 0 and a, b > 0."""
    match node:
        case n.Mul(left=n.Pow(base=x, exponent=a), right=n.Pow(base=y, exponent=b)) if (
            x == y and x.facts.nonnegative and a.facts.low > 0 and b.facts.low > 0
        ):
            return n.power(x, n.add(a, b))
    return None


def product_of_reciprocals(node: Expr) -> Expr | None:
    """x⁺ ∘ (x⁺ ∘ y) = (x ∘ x)⁺ ∘ y."""
    match node:
        case n.Mul(
            left=Apply(function=f, arg=x), right=n.Mul(left=Apply(function=g, arg=y), right=z)
        ) if f == g == RECIPROCAL and x == y:
            return n.mul(Apply(RECIPROCAL, n.mul(x, x)), z)
    return None


def basis_and_back(node: Expr) -> Expr | None:
    """Qᵀ (Q x) = x and (x Qᵀ) Q = x for the orthonormal columns Q of a basis or a frame.

    Between two other factors as well: Qᵀ ((Q x) y) = x y.
    """
    match node:
        case n.MatMul(
            left=n.Transpose(arg=(Eigenbasis() | TopSingular() | Qr()) as q),
            right=n.MatMul(left=p, right=x),
        ) if p == q:
            return x
        case n.MatMul(
            left=n.Transpose(arg=(Eigenbasis() | TopSingular() | Qr()) as q),
            right=n.MatMul(left=n.MatMul(left=p, right=x), right=y),
        ) if p == q:
            return n.matmul(x, y)
        case n.MatMul(
            left=n.MatMul(left=x, right=n.Transpose(arg=p)),
            right=(Eigenbasis() | TopSingular() | Qr()) as q,
        ) if p == q:
            return x
    return None


def product_of_matrix_powers(node: Expr) -> Expr | None:
    """S^a (S^b X) = S^(a+b) X and (X S^a) S^b = X S^(a+b), a + b = 0 for S + c I, c > 0, alone.

    Between two other factors as well: S^a ((S^b X) Y) = (S^(a+b) X) Y. Negative powers are
    pseudo-inverses, so that S^a S^(−a) is the projection on the range of S, which is not known to
    be all unless S is definite for certain.
    """
    match node:
        case n.MatMul(left=p, right=n.MatMul(left=q, right=x)) if (
            joined := _joined_power(p, q)
        ) is not None:
            return n.matmul(joined, x)
        case n.MatMul(left=p, right=n.MatMul(left=n.MatMul(left=q, right=x), right=y)) if (
            joined := _joined_power(p, q)
        ) is not None:
            return n.matmul(n.matmul(joined, x), y)
        case n.MatMul(left=n.MatMul(left=x, right=p), right=q) if (
            joined := _joined_power(p, q)
        ) is not None:
            return n.matmul(x, joined)
        case n.MatMul(left=p, right=q):
            return _joined_power(p, q)
    return None


def _joined_power(p: Expr, q: Expr) -> Expr | None:
    """Return S^(a+b) of S^a and S^b, one of which is not S itself, if it is the same."""
    (s, a), (r, b) = _power(p), _power(q)
    if s != r or not (isinstance(a, Constant) and isinstance(b, Constant)):
        return None
    cancelled = a.value + b.value == 0
    roots = isinstance(p, MatrixPower) and isinstance(q, MatrixPower)
    if not (definite(s) if cancelled else roots):
        return None
    return matrix_power(s, n.add(a, b))


def _power(x: Expr) -> tuple[Expr, Expr]:
    """Return S and a of S^a; of what is no power, itself and 1."""
    return (x.arg, x.exponent) if isinstance(x, MatrixPower) else (x, ONE)


IDENTITIES: tuple[Identity, ...] = (
    identities_of_one_node,
    cancel_two_minuses,
    pull_out_minus,
    join_constants,
    power_of_power,
    product_of_powers,
    product_of_reciprocals,
    product_of_matrix_powers,
    basis_and_back,
)


class Simplification(RewritingPass):
    """Applies `IDENTITIES` to expressions, remembering what it has simplified."""

    name = "simplify"
    does = "identities, until none applies"

    def _visit(self, expr: Expr) -> Expr:
        if isinstance(expr, Before):
            return expr
        node = self._rebuilt(expr)
        for rule in IDENTITIES:
            better = rule(node)
            if better is not None and better != node:
                self.note(rule.__name__, rule.__doc__, node, better)
                return self(assure(better, node.facts))
        return node
