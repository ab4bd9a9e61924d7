"""Designs: a norm, a preconditioner, a momentum and a step, joined to a declaration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import attrs

from normdsl.declaration import Declaration, optimizer
from normdsl.errors import DeclarationError, NormdslError, kind, shown
from normdsl.exploring import parts
from normdsl.exploring.parts import Part
from normdsl.expressions.domains import NonNegative
from normdsl.expressions.expr import Expr
from normdsl.expressions.streams import G
from normdsl.near import did_you_mean
from normdsl.norms import Norm
from normdsl.source import Watch

Choice = str | Norm | Part
Choices = Iterable[Choice] | Mapping[str, Any] | None


@attrs.frozen
class Design:
    """A point of the grid.

    Args:
        name: of its rule. norm: its name. preconditioner: its name. momentum: its name.
        step: its name. rule: the declaration; None if there is none. why: why there is none.
    """

    name: str
    norm: str
    preconditioner: str
    momentum: str
    step: str
    rule: Declaration | None = None
    why: str = ""


def grid(
    norms: Choices = None,
    preconditioners: Choices = None,
    momenta: Choices = None,
    steps: Choices = None,
) -> list[Design]:
    """Return every design of a grid; see `nd.explore` for what may be given.

    Raises:
        NormdslError: for a name that is not known, or a part without one.
    """
    axes = (
        named("norm", norms, parts.NORMS),
        named("preconditioner", preconditioners, parts.PRECONDITIONERS),
        named("momentum", momenta, parts.MOMENTA),
        named("step", steps, parts.STEPS),
    )
    taken: set[str] = set()
    called = Called()
    each = product(*(axis.items() for axis in axes))
    return [_design(chosen, taken, called) for chosen in each]


def named(what: str, given: Choices, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return parts by name: all that are known for None, a mapping as it is.

    Raises:
        NormdslError: for a name that is not known, or a part without one.
    """
    if given is None or isinstance(given, Mapping):
        found = dict(known if given is None else given)
    else:
        listed = [given] if isinstance(given, str | Norm) or callable(given) else list(given)
        found = dict(_named(what, x, known) for x in listed)
    for name, part in found.items():
        if not (isinstance(part, Norm) if what == "norm" else inspect.isfunction(part)):
            raise DeclarationError(
                f"explore the {what} {name}",
                why=f"{kind(part)} is no {'norm' if what == 'norm' else 'function'}",
                hint=_HINTS[what],
            )
    if not found:
        raise DeclarationError(
            "explore a grid",
            why=f"it has no {what}",
            hint=f"leave it out for all that come along: {', '.join(known)}",
        )
    return found


_HINTS = {
    "norm": "pass norms, nd.spectral, or their names",
    "preconditioner": "pass a function of a norm that returns a norm: "
    "lambda norm: nd.preconditioned(norm, hadamard=…)",
    "momentum": "pass a function of the gradient: lambda x: nd.ema(x, 0.9)",
    "step": "pass a function that returns the new weights: "
    "lambda lr, norm, m: W + lr * norm.lmo(m)",
}


def _named(what: str, given: Any, known: Mapping[str, Any]) -> tuple[str, Any]:
    if isinstance(given, str):
        if given in known:
            return given, known[given]
        raise NormdslError(
            f"explore the {what} {shown(given)}",
            why="none of that name comes along",
            hint=f"{did_you_mean(given, known, 'there are')}; or {_HINTS[what]}",
        )
    for name, part in known.items():
        if part == given:
            return name, part
    name = str(given) if isinstance(given, Norm) else getattr(given, "__name__", "<lambda>")
    if name == "<lambda>":
        raise NormdslError(
            f"explore a {what} without a name",
            why="tables and reports call parts by their names",
            hint='give it one: {"mine": lambda …: …}',
        )
    return name, given


def _design(chosen: tuple[tuple[str, Any], ...], taken: set[str], called: Called) -> Design:
    names = [name for name, _ in chosen]
    title = _identifier(names, taken)
    norm, preconditioner, momentum, step = (part for _, part in chosen)
    try:
        rule = declared(title, norm, preconditioner, momentum, step, called)
    except NormdslError as error:
        return _named_so(title, names, why=f"cannot {error.asked}: {error.why}")
    return _named_so(title, names, rule)


def _named_so(
    title: str, names: Sequence[str], rule: Declaration | None = None, why: str = ""
) -> Design:
    norm, preconditioner, momentum, step = names
    return Design(title, norm, preconditioner, momentum, step, rule, why)


def _identifier(names: Iterable[str], taken: set[str]) -> str:
    """Return a name for a rule that no other design has."""
    letters = (re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") for name in names)
    wish = "_".join(filter(None, letters))
    wish = wish if wish[:1].isalpha() else f"design_{wish}".rstrip("_")
    name, k = wish, 1
    while name in taken:
        k += 1
        name = f"{wish}_{k}"
    taken.add(name)
    return name


class Called:
    """Calls parts, each once for equal inputs, and remembers what they call their expressions."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, dict[str, Expr]]] = {}

    def __call__(
        self, part: Part, inputs: tuple[Any, ...], own: dict[str, Any]
    ) -> tuple[Any, dict[str, Expr]]:
        """Return what a part returns, and the names of its expressions."""
        key = (part, inputs, tuple(own.items()))
        if key not in self._known:
            with Watch() as watch:
                result = part(*inputs, **own)
            given = inspect.signature(part).parameters
            seen = watch.variables.items()
            names = {k: x for k, x in seen if isinstance(x, Expr) and k not in given}
            self._known[key] = result, names
        return self._known[key]


def declared(
    name: str,
    norm: Norm,
    preconditioner: Part,
    momentum: Part,
    step: Part,
    called: Called | None = None,
) -> Declaration:
    """Return the declaration that four parts make.

    Raises:
        NormdslError: if they do not fit, with what is at fault.
    """
    once = called or Called()
    own = [(momentum, 1), (preconditioner, 1), (step, 3)]
    hyper = {part: dict(_hyper(part, skip)) for part, skip in own}
    seen: dict[str, Expr] = {}

    def rule(lr: Any, **given: Any) -> Any:
        def call(part: Part, *inputs: Any) -> Any:
            result, names = once(part, inputs, {k: given[k] for k in hyper[part]})
            seen.update({k: x for k, x in names.items() if k not in seen})
            return result

        m = call(momentum, G)
        seen.setdefault("m", m)
        shaped = call(preconditioner, norm)
        return call(step, lr, shaped, m)

    arguments = [p for each in hyper.values() for p in each.values()]
    lr = inspect.Parameter("lr", _BY_NAME, default=1e-3, annotation=NonNegative)
    _require_apart(name, [lr, *arguments])
    rule.__name__ = rule.__qualname__ = name
    rule.__signature__ = inspect.Signature([lr, *arguments])  # type: ignore[attr-defined]
    rule.__doc__ = "\n\n".join(filter(None, (_first_line(part) for part, _ in own)))
    made = optimizer(rule)
    return attrs.evolve(made, names=(*made.names, *seen.items()))


_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def _hyper(part: Part, skip: int) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield the hyper-parameters of a part: its arguments after the first ones."""
    told = inspect.signature(part, eval_str=True)
    for p in list(told.parameters.values())[skip:]:
        yield p.name, p.replace(kind=_BY_NAME)


def _require_apart(name: str, arguments: Iterable[inspect.Parameter]) -> None:
    known: set[str] = set()
    for p in arguments:
        if p.name in known:
            raise DeclarationError(
                f"declare {name}",
                why=f"two of its parts have a hyper-parameter {p.name}",
                hint="call them differently, such as beta1 and beta2",
            )
        known.add(p.name)


def _first_line(part: Part) -> str:
    return (inspect.getdoc(part) or "").partition("\n")[0]
