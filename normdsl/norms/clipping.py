"""Clipping: shortening what is longer than a limit, by any norm, per tensor or over all layers."""

from __future__ import annotations

from typing import Any

from normdsl.errors import DeclarationError, DomainError, ShapeError, kind
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.shapes import SCALAR
from normdsl.near import did_you_mean
from normdsl.norms import Norm, frobenius, lp, over_layers
from normdsl.vocabulary.entrywise import abs, minimum, reciprocal, sign

#: What the norm of all layers is called by which they are clipped.
CLIP = "clip"


def clip(
    x: Any,
    limit: Any,
    norm: Norm = frobenius,
    over: str = "tensor",
    name: str = CLIP,
) -> Expr:
    """Return x shortened to length c if it is longer: x · min(1, c / ‖x‖), 0 at 0.

    torch.nn.utils.clip_grad_norm_ is `over="layers"` of the Frobenius norm with 1e-6 added to
    ‖x‖, which makes its result shorter than c by the share 1e-6 / ‖x‖.

    Args:
        x: an m×n expression. limit: c, a scalar known to be ≥ 0. norm: ‖·‖ of a matrix.
        over: `"tensor"`, each by its own norm; or `"layers"`, all parameters of an optimizer whose
            rules clip so by one factor, with the ℓ2 norm of their norms.
        name: tells clips over layers apart, if rules of one optimizer have several.

    Raises:
        DomainError: if the limit is not known to be ≥ 0.
        DeclarationError: for another `over`, or no norm.

    Example:
        >>> import normdsl as nd
        >>> print(nd.clip(nd.G, 0.5))
        G min(1, ½ ‖G‖_F^+)
    """
    if over not in ("tensor", "layers"):
        raise DeclarationError(
            f"clip over {over!r}",
            why="a limit is for each tensor, or for all layers together",
            hint=did_you_mean(over, ("tensor", "layers"), "the choices are"),
        )
    if not isinstance(norm, Norm):
        raise DeclarationError(
            f"clip by the norm {norm!r}",
            why=f"{kind(norm)} is not a norm",
            hint="pass a norm of normdsl: nd.frobenius, nd.spectral, …",
        )
    measure = norm if over == "tensor" else over_layers(norm, lp(2), name)
    # The pseudo-inverse makes x = 0 stay 0, where c / ‖x‖ would be infinite.
    return as_expr(x) * minimum(1, _limit(limit) * reciprocal(measure.value(x)))


def clip_entries(x: Any, limit: Any) -> Expr:
    """Return x with every entry cut off at ±c, as torch.nn.utils.clip_grad_value_ does.

    Written as sign(x) ∘ min(|x|, c), which shows that it is odd.

    Args:
        x: an expression. limit: c ≥ 0, one number, or one for each entry.

    Raises:
        DomainError: if the limit is not known to be ≥ 0.

    Example:
        >>> import normdsl as nd
        >>> print(nd.clip_entries(nd.G, 0.5))
        sign(G) ∘ min(abs(G), ½)
    """
    return sign(x) * minimum(abs(x), _nonnegative(as_expr(limit)))


def _limit(limit: Any) -> Expr:
    known = as_expr(limit)
    if known.shape != SCALAR:
        raise ShapeError(
            f"clip at {known.shape.phrase}",
            at=known,
            why="a norm is one number, and so is its limit",
            hint="use nd.clip_entries for a limit of each entry",
        )
    return _nonnegative(known)


def _nonnegative(known: Expr) -> Expr:
    if known.facts.nonnegative:
        return known
    raise DomainError(
        "clip at this limit",
        at=known,
        why="a length is ≥ 0, and the limit is not known to be",
        hint="pass a number ≥ 0, or annotate the hyper-parameter: nd.Positive",
    )
