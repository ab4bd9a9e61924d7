"""The chain rule: what a rule reads of the loss φ(f), in terms of what it reads of f.

    ∇φ(f) = φ' ∇f,    ∇²φ(f) = φ' ∇²f + φ'' ∇f ∇fᵀ

with φ' and φ'' at f(P), P being where the loss is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from normdsl.declarations.folding import fold
from normdsl.errors import DeclarationError
from normdsl.expressions import nodes
from normdsl.expressions.domains import REAL
from normdsl.expressions.expr import Expr, simplest
from normdsl.expressions.nodes import ABS, EXP, LOG, RECIPROCAL, TANH, Apply, Asked, Param, Query
from normdsl.expressions.nodes.arithmetic import Add, Mul, Pow, mul
from normdsl.expressions.nodes.constants import Constant, as_expr
from normdsl.expressions.shapes import SCALAR
from normdsl.expressions.streams import W
from normdsl.expressions.traversal import walk
from normdsl.vocabulary.matrices import vec
from normdsl.vocabulary.reductions import inner
from normdsl.vocabulary.reductions import sum as total

#: The argument of φ; no hyper-parameter has such a name.
_ARGUMENT = Param("f(W)", REAL)

_SLOPES: dict[nodes.Function, Callable[[Expr], Expr]] = {
    EXP: lambda x: Apply(EXP, x),
    LOG: lambda x: x**-1,
    RECIPROCAL: lambda x: -(Apply(RECIPROCAL, x) ** 2),
    TANH: lambda x: 1 - Apply(TANH, x) ** 2,
    ABS: lambda x: Apply(nodes.SIGN, x),
}


class Transform:
    """A function φ of the loss, with its first two derivatives.

    Args:
        function: φ, of a scalar expression and hyper-parameters. asked: what for, for errors.
        hyper: symbols of these hyper-parameters, by name.

    Raises:
        DeclarationError: if it returns no scalar expression, or one whose derivative is not known.
    """

    def __init__(self, function: Callable[..., Any], asked: str, hyper: Mapping[str, Expr]) -> None:
        value = as_expr(function(_ARGUMENT, **hyper))
        if value.shape != SCALAR or _ARGUMENT not in walk(value):
            raise DeclarationError(
                asked,
                at=value,
                why="the function returns no scalar that depends on its argument",
                hint="return one: rule.on_loss(lambda f: nd.exp(f))",
            )
        self._value = value
        self._slope = derivative(value, asked)
        self._curvature = derivative(self._slope, asked)

    def value(self, loss: Expr) -> Expr:
        """Return φ(f)."""
        return fold(self._value, {_ARGUMENT: loss})

    def slope(self, loss: Expr) -> Expr:
        """Return φ'(f)."""
        return fold(self._slope, {_ARGUMENT: loss})

    def curvature(self, loss: Expr) -> Expr:
        """Return φ''(f)."""
        return fold(self._curvature, {_ARGUMENT: loss})

    def answer(self, query: Query, found: Expr) -> Expr:
        """Return what φ(f) answers to a query, of which `found` is what f answers."""
        at = found.at if isinstance(found, Query) else W
        loss, g = (simplest(Query(x, at, fresh=query.fresh)) for x in (Asked.LOSS, Asked.GRADIENT))
        match query.asked:
            case Asked.LOSS:
                return self.value(found)
            case Asked.GRADIENT:
                return self.slope(loss) * found
            case Asked.HESSIAN:
                return self.slope(loss) * found + self.curvature(loss) * (vec(g) @ vec(g).T)
            case Asked.HESSIAN_PRODUCT | Asked.GAUSS_NEWTON_PRODUCT:
                along = found.along if isinstance(found, Query) else None
                if along is None:
                    return found  # zero, as the direction is
                steepness = total(inner(g, along), over="layers")
                return self.slope(loss) * found + self.curvature(loss) * steepness * g


def derivative(expr: Expr, asked: str) -> Expr:
    """Return the derivative of a scalar expression by the argument of φ.

    Raises:
        DeclarationError: where it is not known.
    """
    if expr == _ARGUMENT:
        return as_expr(1)
    if _ARGUMENT not in walk(expr):
        return as_expr(0)
    match expr:
        case Add(left=x, right=y):
            return derivative(x, asked) + derivative(y, asked)
        case Mul(left=x, right=y):
            return _times(derivative(x, asked), y) + _times(x, derivative(y, asked))
        case Pow(base=x, exponent=p) if _ARGUMENT not in walk(p):
            return _times(p, _times(x ** (p - 1), derivative(x, asked)))
        case Apply(function=f, arg=x) if f in _SLOPES:
            return _times(_SLOPES[f](x), derivative(x, asked))
    raise DeclarationError(
        asked,
        at=expr,
        why="the chain rule takes the derivative of the function, and that of this part is not "
        "known",
        hint="make it of sums, products, powers, nd.exp, nd.log, nd.tanh and nd.reciprocal",
    )


def _times(x: Expr, y: Expr) -> Expr:
    """Return x y with one number in front."""
    (a, left), (b, right) = _number(x), _number(y)
    return mul(mul(a, b), mul(left, right))


def _number(expr: Expr) -> tuple[Expr, Expr]:
    """Return the number in front of an expression, and the rest."""
    match expr:
        case Constant():
            return expr, as_expr(1)
        case Mul(left=Constant() as number, right=x) | Mul(left=x, right=Constant() as number):
            return number, x
    return as_expr(1), expr
