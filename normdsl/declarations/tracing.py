"""From a function to a rule, by calling it once with symbols: what `@nd.optimizer` does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, TypeVar

import attrs

from normdsl.declarations.advice import advise
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.rule import Rule
from normdsl.errors import DeclarationError, HyperparameterError, kind, shown
from normdsl.expressions.domains import UNSTATED, Domain, NarrowDomain, domain_of, number
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Joint, Param, Source, Stream
from normdsl.expressions.ports import Port
from normdsl.expressions.streams import MOMENTS
from normdsl.expressions.traversal import walk
from normdsl.near import nearest
from normdsl.source import Watch, Where
from normdsl.vocabulary.ports import Parameter, matrix_of

T = TypeVar("T", bound=Rule)

_ANNOTATIONS = (
    "annotate it as nd.NonNegative (≥ 0), nd.Positive (> 0), nd.Fraction (0 ≤ x < 1), nd.Real, "
    "nd.Count or nd.Rank (whole numbers ≥ 1), or nd.Share (0 < x ≤ 1); in a rule over several "
    'parameters, each of them as nd.Matrix("m", "n")'
)

#: The inputs of every rule, which are imported: `normdsl.expressions.streams`.
_STREAMS = {"G", "W", "t", "loss", "rows", "cols", *MOMENTS.values()}


def traced(function: Callable[..., Expr], made: type[T]) -> T:
    """Return the rule that a function declares, of the class that is asked for; see `nd.optimizer`.

    Raises:
        DeclarationError: if the function uses an undeclared name, or returns anything but an m×n
            expression built from the gradient.
    """
    signature = _signature(function)
    given = signature.parameters.values()
    matrices = {p.name: x for p in given if (x := matrix_of(p.annotation)) is not None}
    ports = [matrix.port(name) for name, matrix in matrices.items()]
    named = [p for p in given if p.name not in matrices]
    domains = stated(function.__name__, named)
    # Used as a rate, a hyper-parameter without an annotation turns out to lie in [0, 1): once more.
    while True:
        try:
            update, names = _trace(function, domains, ports)
            break
        except NarrowDomain as narrow:
            domains[narrow.name] = narrow.domain
            used = signature.parameters[narrow.name]
            _require_number(function.__name__, used, narrow.domain, ", the rate of an average,")
    hyper = tuple(
        Hyperparameter(p.name, None if p.default is p.empty else p.default, domains[p.name])
        for p in named
    )
    doc = inspect.getdoc(function) or ""
    name = function.__name__ if function.__name__.isidentifier() else "rule"
    place = (function.__module__, function.__qualname__)
    declaration = made(name, hyper, update, names, doc, *place)
    _require_weights(name, update)
    advise(function, declaration)
    return declaration


def stated(rule: str, named: Sequence[inspect.Parameter]) -> dict[str, Domain]:
    """Return where the arguments of a function lie, as it says, which are hyper-parameters of it.

    Raises:
        DeclarationError: for an annotation that says no such thing, or a name of a stream.
        HyperparameterError: for a default outside its domain.
    """
    _refuse_streams(rule, named)
    domains = {p.name: _domain(p) for p in named}
    for p in named:
        _require_number(rule, p, domains[p.name])
    return domains


def _refuse_streams(rule: str, given: Sequence[inspect.Parameter]) -> None:
    """Refuse arguments that are called like the inputs of every rule, G and W and others."""
    streams = [p.name for p in given if p.name in _STREAMS]
    if streams:
        others = ", ".join(str(p) for p in given if p.name not in streams)
        raise DeclarationError(
            f"declare {rule} with the argument {', '.join(streams)}",
            why="arguments are hyper-parameters; a step is given streams, the same symbols "
            "for every rule",
            hint=f"write from normdsl import {', '.join(streams)}, and def {rule}({others})",
        )


def _require_number(rule: str, parameter: inspect.Parameter, domain: Domain, use: str = "") -> None:
    """Refuse a default that is not a number of the domain, which may be that of a use."""
    name, default = parameter.name, parameter.default
    if default is parameter.empty or default is None:
        return
    known = number(default)
    if known is not None and domain.contains(known):
        return
    hint = "give it such a default"
    if isinstance(default, tuple | list):
        hint = "write one argument per number: beta1=0.9, beta2=0.999"
    elif known is not None and not domain.stated:
        hint += f", or say which numbers it may be: {name}: nd.Real for all of them"
    raise HyperparameterError(
        f"declare {rule} with {name} = {shown(default)}",
        why=domain.refusal(name, default, use),
        hint=hint,
    )


def _require_weights(rule: str, update: Expr) -> None:
    """Refuse rules that return a step instead of weights."""
    results = update.weights if isinstance(update, Joint) else (update,)
    ports = update.ports if isinstance(update, Joint) else (None,)
    for result, port in zip(results, ports, strict=True):
        if Stream(Source.WEIGHTS, port, where=None) not in walk(result):
            weights = "W" if port is None else f"{port.name}.W"
            raise DeclarationError(
                f"declare {rule}",
                at=result,
                why=f"the new weights do not depend on the weights {weights}",
                hint=f"return the new weights, not the step alone: return {weights} - lr * …",
            )


def _signature(function: Any) -> inspect.Signature:
    if not inspect.isfunction(function):
        raise DeclarationError(
            f"declare {shown(function)}",
            why=f"an optimizer is declared by a function, and this is {kind(function)}",
            hint="write @nd.optimizer, without brackets, on the line above the def",
        )
    try:
        return inspect.signature(function, eval_str=True)
    except Exception as error:
        raise DeclarationError(
            f"declare {function.__name__}",
            why=f"its annotations cannot be read: {error}",
            hint=_ANNOTATIONS,
        ) from error


def _domain(parameter: inspect.Parameter) -> Domain:
    named = (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    if parameter.kind not in named:
        raise DeclarationError(
            f"declare an optimizer with the argument {parameter}",
            why="every argument is a hyper-parameter, and must have a name to be set by",
            hint="write one argument per hyper-parameter: lr=0.1, beta=0.9",
        )
    if parameter.annotation is parameter.empty or parameter.annotation is float:
        return UNSTATED
    stated = domain_of(parameter.annotation)
    if stated is not None:
        return stated
    raise DeclarationError(
        f"declare {parameter.name}: {inspect.formatannotation(parameter.annotation)}",
        why="an annotation says which numbers a hyper-parameter may be",
        hint=_ANNOTATIONS,
    )


def _trace(
    function: Callable[..., Any], domains: Mapping[str, Domain], ports: Sequence[Port]
) -> tuple[Expr, tuple[tuple[str, Expr], ...]]:
    """Call the function with symbols; return its result and its named local expressions."""
    symbols: dict[str, Any] = {name: Param(name, domain) for name, domain in domains.items()}
    symbols |= {port.name: Parameter(port) for port in ports}
    code: CodeType = function.__code__
    try:
        with Watch() as watch:
            result = function(**symbols)
    except NameError as error:
        raise DeclarationError(
            f"declare {function.__name__}",
            why=f"it uses an undeclared name: {error}",
            hint=_where_from(error.name, [*domains, *watch.variables, *function.__globals__]),
            at=_Place(
                error.name or function.__name__, Where(code.co_filename, _error_line(error, code))
            ),
        ) from error
    if ports:
        result = _joined(function.__name__, result, ports)
    if not isinstance(result, Expr):
        raise DeclarationError(
            f"declare {function.__name__}",
            why=f"it returns {kind(result)}, not the new weights",
            hint="return an m×n expression, such as W - lr * G; a rule over several parameters has "
            'an argument for each of them, A: nd.Matrix("m", "n")',
        )
    names = tuple(
        (name, x)
        for name, x in watch.variables.items()
        if isinstance(x, Expr) and name not in domains
    )
    return result, names


def _joined(rule: str, result: Any, ports: Sequence[Port]) -> Joint:
    """Return the next weights of all parameters of a rule as one expression."""
    each = result if isinstance(result, tuple | list) else (result,)
    if len(each) != len(ports) or not all(isinstance(x, Expr) for x in each):
        wanted = ", ".join(f"{port.name}.W - lr * …" for port in ports)
        raise DeclarationError(
            f"declare {rule}",
            why=f"it returns {kind(result)}, not the new weights of "
            + " and ".join(port.name for port in ports),
            hint=f"return {wanted}, in the order of the arguments",
        )
    return Joint(tuple(each), tuple(ports))


def _where_from(name: str | None, known: list[str]) -> str:
    """Return what to do about a name that is not defined; None for a variable without a value."""
    if name is None:
        return "give the variable a value on every path through the function"
    meant = nearest(name, known)
    make = f"make it a hyper-parameter, an argument {name}=…, or define or import it"
    return make if meant is None else f"did you mean {meant}? Or {make}"


@attrs.frozen
class _Place:
    text: str
    where: Where

    def __str__(self) -> str:
        return self.text


def _error_line(error: BaseException, code: CodeType) -> int:
    trace = error.__traceback__
    line = code.co_firstlineno
    while trace is not None:
        if trace.tb_frame.f_code is code:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
