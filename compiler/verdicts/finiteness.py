"""Finiteness: whether a rule's own run is made of numbers, and which part of it is not.

That two trajectories of NaN agree proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from normdsl.compiler.batches.ambient import apart
from normdsl.compiler.invariance.remarks import Remark, Remarks
from normdsl.compiler.invariance.search import settings
from normdsl.compiler.invariance.witness import REACH, SHAPES
from normdsl.compiler.verdicts.ask import asking, objectives
from normdsl.compiler.verdicts.jointly import Jointly
from normdsl.compiler.verdicts.probe import Probe, Seen
from normdsl.compiler.verdicts.tasks import Task, task
from normdsl.compiler.verdicts.trajectory import pure
from normdsl.declarations.rule import Rule
from normdsl.errors import GradientError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import LOG, Apply, Joint, next_weights
from normdsl.expressions.nodes.arithmetic import Mul, Pow
from normdsl.expressions.recursion import After, Before, State, release
from normdsl.expressions.traversal import walk

_STEPS = 3


@attrs.frozen(eq=False)
class Stop:
    """Where a run was left without a number.

    Args:
        step: the step that makes none, from 1. hyper: the hyper-parameters. seen: what the steps
            up to that one read.
    """

    step: int
    hyper: Mapping[str, float]
    seen: list[Seen]


@lru_cache(maxsize=64)
@apart()
def remarks(declaration: Rule) -> Remarks:
    """Return where a rule's own run is not finite: everywhere, or in some cases only.

    Runs are made at the default hyper-parameters; at others where those fail.
    """
    usual, *others = settings(declaration)
    found = {shape: _remark(declaration, shape, usual) for shape in SHAPES}
    failed = {shape: x for shape, x in found.items() if x is not None}
    if not failed:
        cases = {"where G = 0": _without_slope, "where W = 0": _from_zero}
        tried = (
            (when, _fault(declaration, usual, case(declaration))) for when, case in cases.items()
        )
        return Remarks(sometimes=tuple(attrs.evolve(x, when=w) for w, x in tried if x is not None))
    first = next(iter(failed.values()))
    if len(failed) < len(found):
        when = "with W " + " or ".join(f"{m}×{n}" for m, n in failed)
    elif all(_remark(declaration, shape, hyper) for hyper in others for shape in SHAPES):
        return Remarks(always=first)
    else:
        when = "with " + ", ".join(f"{k} = {v:g}" for k, v in usual.items())
    return Remarks(sometimes=(attrs.evolve(first, when=when),))


def _remark(declaration: Rule, shape: tuple[int, int], hyper: Mapping[str, float]) -> Remark | None:
    return _fault(declaration, hyper, task(declaration, shape, SHAPES.index(shape)))


def _at_zero(declaration: Rule, hyper: Mapping[str, float]) -> Iterator[Remark]:
    """Yield what happens to parameters without a gradient, and to those that start at zero."""
    for when, case in (("where G = 0", _without_slope), ("where W = 0", _from_zero)):
        found = _fault(declaration, hyper, case(declaration))
        if found is not None:
            yield attrs.evolve(found, when=when)


def _without_slope(declaration: Rule) -> Task:
    """Return a problem whose gradient is zero, as that of a parameter which is not used."""
    posed = task(declaration, SHAPES[0], 0)
    return attrs.evolve(posed, loss=lambda w, step: posed.loss(w.detach(), step) + 0 * w.sum())


def _from_zero(declaration: Rule) -> Task:
    """Return a problem that starts from zero."""
    posed = task(declaration, SHAPES[0], 0)
    return attrs.evolve(posed, start=torch.zeros_like(posed.start))


def _fault(declaration: Rule, hyper: Mapping[str, float], posed: Task) -> Remark | None:
    """Return why a run stops, if it does for another reason than its size."""
    stop = stopped(declaration, posed, hyper)
    return None if stop is None else blame(declaration, stop)


def stopped(declaration: Rule, posed: Task, hyper: Mapping[str, Any]) -> Stop | None:
    """Run a rule for a few steps; return where it makes no number of numbers of the usual size."""
    rule, w, seen = pure(declaration, posed), posed.start, list[Seen]()
    largest = REACH * max(float(w.abs().max()), 1.0)
    state: dict[str, Any] = {}
    for step in range(1, _STEPS + 1):
        at = w.detach().requires_grad_()
        value = posed.loss(at, step - 1)
        (grad,) = torch.autograd.grad(value, at)
        moments = posed.moments(at.detach(), step - 1)
        asides = moments | ({"ask": asking(posed, step - 1)} if declaration.asks else {})
        asides |= rule.streams(w, grad) if isinstance(rule, Jointly) else {}
        seen.append((w, grad, value.detach(), asides))
        given: dict[str, Any] = {name: moments[name] for name in declaration.moments}
        given |= objectives(posed, step - 1) if declaration.asks else {}
        try:
            state = state or rule.init(w, **hyper)
            w, state = rule.update(grad, state, w, loss=value.detach(), **given, **hyper)
        except (GradientError, ArithmeticError, LinAlgError):
            return Stop(step, hyper, seen)
        if not all(bool(torch.isfinite(x).all()) for x in (w, *state.values())):
            return Stop(step, hyper, seen)
        if float(w.abs().max()) > largest:
            return None
    return None


def blame(declaration: Rule, stop: Stop) -> Remark | None:
    """Return the smallest expression that is not finite where a run stops, and why.

    None if it only overflows.
    """
    update = next_weights(declaration.update)
    each = update.weights if isinstance(update, Joint) else (update,)
    roots = [*each, *(x for x in walk(declaration.update) if isinstance(x, After))]
    node, above = next((x for x in roots if not _finite(declaration, stop, x)), None), None
    while node is not None:
        below = next((x for x in _inside(node, stop) if not _finite(declaration, stop, x)), None)
        if below is None:
            return _named(declaration, stop, node, above)
        node, above = below, node
    return None


def _inside(node: Expr, stop: Stop) -> tuple[Expr, ...]:
    """Return what an expression is made of at a step."""
    if isinstance(node, After):
        return (release(node.recursion.bodies[node.index], node.recursion, Before),)
    if isinstance(node, State):
        return (node.recursion.inits[node.index],) if stop.step == 1 else ()
    return node.children


def _value(declaration: Rule, stop: Stop, expr: Expr) -> Tensor:
    """Return the value of an expression at the step where a run stops.

    Raises:
        ArithmeticError: if it is made of numbers alone, and makes none.
        LinAlgError: if a factorisation fails, of what is not finite.
    """
    probe = Probe(declaration, [expr])
    begun = probe.start(stop.seen[0][0], stop.hyper, stop.seen[0][3])
    (value,) = probe.run(stop.seen, begun, stop.hyper)[-1]
    return value


def _finite(declaration: Rule, stop: Stop, expr: Expr) -> bool:
    try:
        return bool(torch.isfinite(_value(declaration, stop, expr)).all())
    except (ArithmeticError, LinAlgError):
        return False


def _named(declaration: Rule, stop: Stop, node: Expr, above: Expr | None) -> Remark | None:
    """Return what goes wrong in an expression whose parts are finite."""

    def value(x: Expr) -> Tensor:
        return _value(declaration, stop, x)

    match node:
        case Pow(base=base, exponent=p) if bool((value(base) == 0).any() and (value(p) < 0).any()):
            return _divided(stop, node, above, value)
        case Pow(base=base) if bool((value(base) < 0).any()):
            return Remark(node, "a root of a negative number", stop.step)
        case Apply(function=f, arg=x) if f == LOG and bool((value(x) <= 0).any()):
            return Remark(node, "a logarithm of what is not positive", stop.step)
    try:
        found = value(node)
    except OverflowError:
        return None
    except (ArithmeticError, LinAlgError):
        return Remark(node, "a value that does not exist", stop.step)
    return Remark(node, "a value that is no number", stop.step) if found.isnan().any() else None


def _divided(stop: Stop, node: Pow, above: Expr | None, value: Callable[[Expr], Tensor]) -> Remark:
    """Return the quotient in which something is divided by zero."""
    if isinstance(above, Mul):
        other = above.left if above.right == node else above.right
        zero, divisor = value(other) == 0, value(node.base) == 0
        reason = "0/0" if bool((zero & divisor).any()) else "a division by zero"
        return Remark(above, reason, stop.step)
    return Remark(node, "a division by zero", stop.step)
