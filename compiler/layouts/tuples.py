"""Tuples: the parameters that a rule over several takes at once, one tuple after the other.

A group of such a rule lists them as A1, B1, A2, B2, …, whatever the rule calls them. Each parameter
steps by its part of the rule, and is given what the others of its tuple are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from torch import Tensor

from normdsl.declarations.rule import Rule
from normdsl.errors import GradientError, HyperparameterError
from normdsl.expressions.nodes import Source
from normdsl.expressions.ports import Port
from normdsl.expressions.shapes import Space
from normdsl.expressions.streams import called


@attrs.frozen(eq=False)
class Neighbour:
    """A stream of another parameter, which a step of this one reads.

    Args:
        name: by which the step takes it. param: the other parameter.
        gradient: whether it is its gradient, not its weights.
        maximize: whether the loss is maximised, and the gradient read with the other sign.
    """

    name: str
    param: Tensor
    gradient: bool
    maximize: bool


def flattened(rule: Any, params: Iterable[Any]) -> list[Any]:
    """Return parameters as a list, from tuples of those that the rule takes at once.

    Args:
        rule: of their group. params: parameters, or tuples (A, B); with a name, as (name, (A, B)),
            of which each gets one, such as name.A.
    """
    ports = rule.ports if isinstance(rule, Rule) else ()
    if not ports:
        return list(params)
    found: list[Any] = []
    for each in params:
        named = isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)
        name, members = each if named else (None, each)
        if isinstance(members, Tensor):
            found.append(each)
        elif name is None:
            found += members
        else:
            found += [(f"{name}.{p.name}", x) for p, x in zip(ports, members, strict=True)]
    return found


def tuple_of(rule: Rule, params: Sequence[Tensor], place: int) -> Sequence[Tensor]:
    """Return the tuple to which a parameter belongs, by its place; itself, for a rule of one."""
    count = max(1, len(rule.ports))
    first = place - place % count
    return params[first : first + count]


def require(rule: Rule, params: Sequence[Any]) -> None:
    """Refuse parameters of which no tuples are made.

    Raises:
        HyperparameterError: if their number is not a multiple, or the rule is a part of another.
        GradientError: for shapes that do not belong to the spaces that the rule says.
    """
    if rule.partial and rule.neighbours:
        raise HyperparameterError(
            f"run a part of {rule.name}",
            why="it reads other parameters, which an optimizer of the part does not know",
            hint=f"run {rule.name} itself, on tuples of parameters",
        )
    count, names = len(rule.ports), ", ".join(port.name for port in rule.ports)
    if count and len(params) % count:
        raise HyperparameterError(
            f"give {rule.name} {len(params)} parameters",
            why=f"it takes them in tuples ({names}), one after the other",
            hint=f"pass [{names}, {names}, …], or a list of tuples; nd.route(model, pairs=…) "
            "finds them",
        )
    for k in range(0, len(params) if count else 0, max(count, 1)):
        together = params[k : k + count]
        if all(isinstance(p, Tensor) for p in together):
            sizes(rule, together)


def sizes(rule: Rule, together: Sequence[Tensor]) -> dict[str, int]:
    """Return the dimensions of the spaces of a rule, by name, as a tuple of parameters has them.

    Raises:
        GradientError: if they do not agree, or one is no matrix (no vector, where it is a column).
    """
    found: dict[str, int] = {}
    for port, p in zip(rule.ports, together, strict=True):
        shape = tuple(p.shape) if p.ndim == 2 else (*p.shape, 1)
        lengths = [axis.length for axis in port.axes]
        fits = len(shape) == 2
        for length, size in zip(lengths, shape, strict=False):
            if isinstance(length, Space):
                fits = fits and found.setdefault(length.name, size) == size
            else:
                fits = fits and size == 1
        if not fits:
            raise _unfit(rule, port, together)
    return found


def _unfit(rule: Rule, port: Port, together: Sequence[Tensor]) -> GradientError:
    wanted = ", ".join(f"{x.name} {x.shape}" for x in rule.ports)
    shapes = ", ".join(str(tuple(p.shape)) for p in together)
    return GradientError(
        f"apply {rule.name} to parameters of shapes {shapes}",
        why=f"the rule is over {wanted}, where equal letters are equal lengths, and {port.name} "
        "does not fit",
        hint="list the parameters in this order, tuple after tuple; or use "
        "nd.route(model, …, pairs=…), which finds them by their names",
    )


def neighbours(
    part: Rule, rule: Rule, together: Sequence[Tensor], maximize: bool
) -> tuple[Neighbour, ...]:
    """Return what a step of one parameter reads of the others in its tuple.

    Args:
        part: its part of the rule. rule: the rule. together: the parameters of the tuple.
        maximize: whether the loss is maximised.
    """
    names = [port.name for port in rule.ports]
    found = []
    for stream in part.neighbours:
        assert stream.port is not None, "a neighbour is another parameter"
        param = together[names.index(stream.port.name)]
        name = called(stream.source, stream.port.name)
        found.append(Neighbour(name, param, stream.source is Source.GRADIENT, maximize))
    return tuple(found)
