"""Rules on a function of the loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from normdsl.declarations.chain_rule import Transform
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.rule import Rule
from normdsl.declarations.substitution import Substitution
from normdsl.declarations.tracing import stated
from normdsl.errors import DeclarationError, kind
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Param, Source, Stream
from normdsl.expressions.streams import G, output_moment
from normdsl.expressions.streams import loss as LOSS

T = TypeVar("T", bound=Rule)


def on_loss(rule: T, function: Callable[..., Any], name: str | None = None) -> T:
    """Return a rule on the loss φ(f); see `Declaration.on_loss`.

    Raises:
        DeclarationError: for anything but a function of the loss whose derivatives are known.
    """
    asked = f"run {rule.name} on a function of the loss"
    named = _further(function, asked)
    domains = stated(rule.name, named)
    transform = Transform(function, asked, {k: Param(k, domain) for k, domain in domains.items()})
    slope = transform.slope(LOSS)
    slopes = [Stream(Source.GRADIENT, port, where=None) for port in rule.ports] or [G]
    table: dict[Expr, Expr] = {x: slope * x for x in slopes}
    table |= {LOSS: transform.value(LOSS), output_moment: slope**2 * output_moment}
    change = Substitution(table, transform.answer)
    own = {h.name for h in rule.hyper}
    given = (
        Hyperparameter(p.name, None if p.default is p.empty else p.default, domains[p.name])
        for p in named
        if p.name not in own
    )
    return attrs.evolve(
        rule,
        name=rule.name if name is None else name,
        hyper=(*rule.hyper, *given),
        update=change(rule.update),
        names=tuple((called, change(x)) for called, x in rule.names),
        qualname=rule.qualname if name is None else "",
    )


def _further(function: object, asked: str) -> list[inspect.Parameter]:
    """Return the arguments of a function after the first one."""
    if not inspect.isfunction(function) or not inspect.signature(function).parameters:
        raise DeclarationError(
            asked,
            why=f"{kind(function)} is not a function of the loss",
            hint="pass one: rule.on_loss(lambda f: nd.exp(f))",
        )
    return list(inspect.signature(function, eval_str=True).parameters.values())[1:]
