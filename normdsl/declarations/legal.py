"""What a rule may be: its names, its shape, and what its new weights are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from normdsl.declarations import joint
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.identifiers import is_name
from normdsl.declarations.taken import TAKEN, fault
from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Joint, Param, Query, Returned, Stream
from normdsl.expressions.origins import Origin
from normdsl.expressions.recursion import free_carries, placeholders
from normdsl.expressions.shapes import MATRIX, Shape
from normdsl.expressions.traversal import walk


def require(name: str, hyper: Sequence[Hyperparameter], update: Expr, names: Iterable[str]) -> None:
    """Refuse what is no rule.

    Args:
        name: its name. hyper: its hyper-parameters. update: the new weights.
        names: what its author called sub-expressions.

    Raises:
        DeclarationError: with what is at fault.
        HyperparameterError: for a default outside its domain.
    """
    _require_names(name, [h.name for h in hyper], names)
    for h in hyper:
        if h.default is not None:
            h.check(h.default)
    asked = f"declare {name}"
    if isinstance(update, Joint):
        joint.require(update, (h.name for h in hyper), asked)
    elif update.shape not in (MATRIX, _own_shape(update)):
        raise DeclarationError(
            asked,
            at=update,
            why=f"its new weights are {update.shape.phrase}, but W is m×n",
            hint="return an m×n expression, such as W - lr * G",
        )
    inside = [x for x in walk(update) if isinstance(x, Returned) and x is not update]
    if inside:
        raise DeclarationError(
            asked,
            at=inside[0],
            why="a point to evaluate is returned beside the new weights, and not computed with",
            hint="write return nd.step(W_next, evaluate=x) at the end",
        )
    for leaked in (*placeholders(update), *free_carries(update)):
        raise DeclarationError(
            f"{asked}: a non-causal recursion",
            at=leaked,
            why="the argument of the function given to nd.fix is used outside of that function, "
            "where it has no value",
            hint="use the value that nd.fix returns, or nd.prev of it",
        )
    known = {h.name: h.domain for h in hyper}
    for x in walk(update):
        if isinstance(x, Param) and known.get(x.name) != x.domain:
            raise DeclarationError(
                asked,
                at=x,
                why=f"{x.name} is an undeclared name: it is not a hyper-parameter of the rule",
                hint="make it an argument of the decorated function",
            )
    asks = any(isinstance(x, Query) for x in walk(update))
    if not (asks or update.origins & Origin.GRADIENT):
        raise DeclarationError(
            asked,
            at=update,
            why="the new weights do not depend on the gradient",
            hint="use the gradient nd.G: return W - lr * G",
        )


def _require_names(title: str, hyper: list[str], names: Iterable[str]) -> None:
    for name in (title, *hyper, *names):
        if not is_name(name) or name in TAKEN.intersection(hyper) or hyper.count(name) > 1:
            raise DeclarationError(
                f"use the name {str(name)[:40]!r}",
                why=fault(name, hyper),
                hint="choose another name",
            )


def _own_shape(update: Expr) -> Shape:
    """Return the shape of W: m×m, where it is known to be square."""
    ports = (x.port for x in walk(update) if isinstance(x, Stream) and x.port is not None)
    return next((port.shape for port in ports if not port.name), MATRIX)
