"""Options of an optimizer that are illegal, or exclude each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from normdsl.declarations.rule import Rule
from normdsl.errors import HyperparameterError, kind
from normdsl.near import did_you_mean


def require_options(
    rule: Rule | None,
    params: Any,
    nonfinite: str,
    differentiable: bool,
    hyper: Mapping[str, Any],
) -> None:
    """Refuse what an optimizer cannot be made with.

    Raises:
        HyperparameterError: with the option, the reason, and what to do instead.
    """
    name = "an optimizer" if rule is None else rule.name
    if nonfinite not in ("raise", "skip"):
        raise HyperparameterError(
            f"set nonfinite={nonfinite!r}",
            why="it says what a NaN or infinite gradient does",
            hint=did_you_mean(nonfinite, ("raise", "skip"), "the choices are"),
        )
    if hasattr(params, "parameters"):
        raise HyperparameterError(
            f"run {name} on {kind(params)}",
            why="an optimizer takes the parameters of a model, not the model",
            hint="pass model.parameters(), or use nd.route(model, …)",
        )
    if rule is None and hyper:
        raise HyperparameterError(
            f"set {', '.join(hyper)} for all groups",
            why="every group brings its own rule, with hyper-parameters of its own",
            hint="give them to the rules, rule(lr=…)",
        )
    if differentiable:
        raise HyperparameterError(
            f"run {name} with differentiable=True",
            why="an optimizer writes its parameters in place, which no gradient passes through",
            hint="use nd.functional(rule), whose update is a function of gradients, states and "
            "hyper-parameters",
        )


def require_readers(rules: Iterable[Rule | None]) -> None:
    """Refuse a capture that no rule reads.

    Raises:
        HyperparameterError: if there is none.
    """
    known = {rule.name: rule.moments for rule in rules if rule is not None}
    if not any(known.values()):
        raise HyperparameterError(
            f"run {', '.join(known)} with capture=…",
            why="the rule reads no moments of the layers",
            hint="leave capture out, or use nd.input_moment or nd.output_moment in the rule",
        )


def require_capturable(rule: Rule, nonfinite: str, keeps: bool) -> None:
    """Refuse what would make a step wait for the device.

    Raises:
        HyperparameterError: for steps that raise, or a schedule that keeps values between steps.
    """
    if nonfinite == "raise" or keeps:
        raise HyperparameterError(
            f"run {rule.name} with capturable=True",
            why="the host must read the step count, to know when kept values are computed again"
            if keeps
            else "to raise for a gradient that is not finite, the host must wait for it",
            hint="use refresh=1 and no iterative eigenbasis"
            if keeps
            else 'leave nonfinite out: it is "skip" then',
        )


def require_closure(closure: Any) -> None:
    """Refuse anything but a closure, such as the loss itself.

    Raises:
        HyperparameterError: with how to pass a loss.
    """
    if not callable(closure):
        raise HyperparameterError(
            f"take a step with the closure {str(closure)[:50]}",
            why="a closure is a function that runs the model again and returns the loss",
            hint="give the loss by name: opt.step(loss=loss)",
        )
