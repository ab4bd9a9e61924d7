"""Other names for hyper-parameters: `betas` for beta1, beta2, …, as in `torch.optim`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from normdsl.errors import HyperparameterError
from normdsl.expressions.domains import number

if TYPE_CHECKING:
    from normdsl.declarations.rule import Rule

#: The rates of averages together, which schedulers look for.
BETAS = "betas"


def members(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that `betas` stands for among others: beta1, beta2, …, two at least."""
    known = set(names)
    if BETAS in known:
        return ()
    count = next(k for k in range(1, len(known) + 2) if f"beta{k}" not in known) - 1
    return tuple(f"beta{k}" for k in range(1, count + 1)) if count > 1 else ()


def spread(rule: Rule, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters by their own names: betas=(a, b) is beta1=a, beta2=b.

    None counts as not given, and so does a default beside betas: command lines fill in both.

    Raises:
        HyperparameterError: for another number of values, or for two values of one rate.
    """
    names = members(rule.defaults)
    if BETAS not in given or not names:
        return dict(given)
    values = given[BETAS]
    if values is None:
        return {name: value for name, value in given.items() if name != BETAS}
    told = f"set betas = {str(values)[:50]} of {rule.name}"
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(names):
        raise HyperparameterError(
            told,
            why=f"betas stand for {', '.join(names)} together, {len(names)} numbers",
            hint=f"pass {len(names)} numbers, or {'=…, '.join(names)}=…",
        )
    rest = {name: value for name, value in given.items() if name != BETAS}
    both = [name for name in names if name in rest and number(rest[name]) != rule.defaults[name]]
    if both:
        raise HyperparameterError(
            told,
            why=f"{', '.join(both)} was given as well, which betas stand for",
            hint="pass one or the other",
        )
    return {**rest, **dict(zip(names, values, strict=True))}
