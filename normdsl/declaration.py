"""Declarations: an update rule as a value, made from a function by `@nd.optimizer`."""

from __future__ import annotations

import inspect
import keyword
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any

import attrs

from normdsl.algebra import fold
from normdsl.delegate import Compiled
from normdsl.domains import UNSTATED, Domain, NarrowDomain, domain_of
from normdsl.errors import DeclarationError, HyperparameterError
from normdsl.expr import Expr, as_expr, exact
from normdsl.graph import walk
from normdsl.labels import labels
from normdsl.nodes import Param, Source, Stream
from normdsl.recursion import free_carries, placeholders
from normdsl.shapes import MATRIX
from normdsl.show.declared import declared_latex, declared_text
from normdsl.source import Where


@attrs.frozen
class Hyperparameter:
    """A symbol of a declaration.

    Args:
        name: its name. default: its value if none is passed (None: it must be passed).
        domain: where its values lie.
    """

    name: str
    default: float | None
    domain: Domain

    def check(self, value: Any) -> None:
        """Refuse a value outside the domain.

        Raises:
            HyperparameterError: if the value is not a number of the domain.
        """
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.domain.contains(value):
            raise HyperparameterError(
                f"set {self.name} = {value!r}",
                why=f"{self.name} lies in {self.domain}",
                hint=f"the default is {self.default}",
            )


@attrs.frozen(repr=False)
class Declaration(Compiled):
    """An update rule W ← f(W, G, t, loss), with its hyper-parameters.

    Args:
        name: the name of the rule.
        hyper: its hyper-parameters, in order.
        update: the new weights, an m×n expression.
        names: what the author called sub-expressions, for display.
        doc: the author's description.
    """

    name: str
    hyper: tuple[Hyperparameter, ...]
    update: Expr
    names: tuple[tuple[str, Expr], ...] = attrs.field(default=(), eq=False)
    doc: str = attrs.field(default="", eq=False)

    def __attrs_post_init__(self) -> None:
        _validate(self)

    @property
    def defaults(self) -> dict[str, float | None]:
        """Default value of each hyper-parameter."""
        return {h.name: h.default for h in self.hyper}

    @property
    def labels(self) -> dict[Expr, str]:
        """Names of sub-expressions and states, in the order in which they are computed."""
        return labels(self.update, self.names)

    def reads(self, source: Source) -> bool:
        """Return whether the rule reads a stream."""
        return any(isinstance(x, Stream) and x.source is source for x in walk(self.update))

    def bind(self, **values: float) -> Declaration:
        """Return the declaration with some hyper-parameters fixed to numbers.

        Raises:
            HyperparameterError: for an unknown name or a value outside its domain.
        """
        table = {}
        for name, value in values.items():
            known = self.hyperparameter(name)
            known.check(value)
            table[Param(name, known.domain)] = as_expr(exact(value))
        return attrs.evolve(
            self,
            hyper=tuple(h for h in self.hyper if h.name not in values),
            update=fold(self.update, table),
            names=tuple((name, fold(x, table)) for name, x in self.names),
        )

    def hyperparameter(self, name: str) -> Hyperparameter:
        """Return the hyper-parameter called `name`.

        Raises:
            HyperparameterError: if there is none.
        """
        for known in self.hyper:
            if known.name == name:
                return known
        raise HyperparameterError(
            f"set the hyper-parameter {name!r} of {self.name}",
            why="it has none of that name",
            hint="its hyper-parameters are " + ", ".join(h.name for h in self.hyper),
        )

    def __str__(self) -> str:
        return declared_text(self)

    def __repr__(self) -> str:
        return declared_text(self)

    def _repr_latex_(self) -> str:
        return declared_latex(self)


def optimizer(function: Callable[..., Expr]) -> Declaration:
    """Declare an optimizer: call `function` once with symbols in place of its defaults.

    The arguments of the function are the hyper-parameters; an annotation (`nd.Fraction`,
    `nd.Positive`, `nd.NonNegative`, `nd.Real`) states the domain, which is otherwise ≥ 0 and, for
    a hyper-parameter used as the rate of an average, [0, 1). It returns the new weights.

    Raises:
        DeclarationError: if the function uses an undeclared name, or returns anything but an m×n
            expression built from the gradient.
    """
    signature = _signature(function)
    domains = {p.name: _domain(p) for p in signature.parameters.values()}
    for p in signature.parameters.values():
        _require_number(function.__name__, p)
    while True:
        try:
            update, names = _trace(function, domains)
            break
        except NarrowDomain as narrow:
            domains[narrow.name] = narrow.domain
    hyper = tuple(
        Hyperparameter(p.name, None if p.default is p.empty else p.default, domains[p.name])
        for p in signature.parameters.values()
    )
    doc = inspect.getdoc(function) or ""
    name = function.__name__ if function.__name__.isidentifier() else "rule"
    declaration = Declaration(name, hyper, update, names, doc)
    _require_used(name, hyper, update)
    return declaration


def _require_number(rule: str, parameter: inspect.Parameter) -> None:
    """Refuse a default that is not a number of the stated domain."""
    default, domain = parameter.default, _domain(parameter)
    number = isinstance(default, int | float) and not isinstance(default, bool)
    if default in (parameter.empty, None) or (number and domain.contains(default)):
        return
    raise HyperparameterError(
        f"declare {rule} with {parameter.name} = {default!r}",
        why=f"{parameter.name} is one number of {domain}",
        hint="give it a default there, write one argument per number (beta1, beta2), or annotate "
        "another domain: nd.Real, nd.NonNegative, nd.Positive, nd.Fraction",
    )


def _require_used(rule: str, hyper: tuple[Hyperparameter, ...], update: Expr) -> None:
    """Refuse hyper-parameters without effect, and rules that return a step instead of weights."""
    used = {x.name for x in walk(update) if isinstance(x, Param)}
    for h in hyper:
        if h.name not in used:
            raise DeclarationError(
                f"declare {rule}",
                why=f"its hyper-parameter {h.name} has no effect on the new weights",
                hint="use it, or remove it",
            )
    if not any(isinstance(x, Stream) and x.source is Source.WEIGHTS for x in walk(update)):
        raise DeclarationError(
            f"declare {rule}",
            at=update,
            why="the new weights do not depend on the weights W",
            hint="a declaration returns the new weights, not the step: return W - lr * …",
        )


def _signature(function: Any) -> inspect.Signature:
    if not inspect.isfunction(function):
        raise DeclarationError(
            f"declare {function!r}",
            why="a declaration is made from a function",
            hint="write @nd.optimizer above a def",
        )
    try:
        return inspect.signature(function, eval_str=True)
    except Exception as error:
        raise DeclarationError(
            f"declare {function.__name__}",
            why=f"its annotations cannot be read: {error}",
            hint="annotate hyper-parameters by nd.Positive, nd.NonNegative, nd.Fraction or nd.Real",
        ) from error


def _domain(parameter: inspect.Parameter) -> Domain:
    named = (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    if parameter.kind not in named:
        raise DeclarationError(
            f"declare an optimizer with the argument {parameter}",
            why="its hyper-parameters must be known by name",
            hint="write one argument per hyper-parameter",
        )
    if parameter.annotation is parameter.empty or parameter.annotation is float:
        return UNSTATED
    stated = domain_of(parameter.annotation)
    if stated is not None:
        return stated
    raise DeclarationError(
        f"declare {parameter.name}: {parameter.annotation!r}",
        why="the annotation of a hyper-parameter is its domain",
        hint="use nd.Positive, nd.NonNegative, nd.Fraction or nd.Real",
    )


def _trace(
    function: Callable[..., Expr], domains: Mapping[str, Domain]
) -> tuple[Expr, tuple[tuple[str, Expr], ...]]:
    """Call the function with symbols; return its result and its named local expressions."""
    symbols = {name: Param(name, domain) for name, domain in domains.items()}
    local: dict[str, Any] = {}
    code: CodeType = function.__code__

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is code:
            local.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        result = function(**symbols)
    except NameError as error:
        raise DeclarationError(
            f"declare {function.__name__}",
            why=f"it uses an undeclared name: {error}",
            hint="make it an argument (a hyper-parameter), or import it",
            at=_Place(str(error), Where(code.co_filename, _error_line(error, code))),
        ) from error
    finally:
        sys.setprofile(before)
    if not isinstance(result, Expr):
        raise DeclarationError(
            f"declare {function.__name__}",
            why=f"it returns a {type(result).__name__}, not the new weights",
            hint="return an m×n expression, such as W - lr * G",
        )
    names = tuple(
        (name, x) for name, x in local.items() if isinstance(x, Expr) and name not in domains
    )
    return result, names


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


#: Names that the mathematics and the emitted code use themselves.
RESERVED = frozenset({"W", "G", "t", "loss", "rows", "cols", "batch", "torch", "step", "init"})


def _validate_names(declaration: Declaration) -> None:
    hyper = [h.name for h in declaration.hyper]
    for name in (declaration.name, *hyper, *(name for name, _ in declaration.names)):
        legal = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
        if not legal or name in RESERVED.intersection(hyper) or hyper.count(name) > 1:
            raise DeclarationError(
                f"use the name {str(name)[:40]!r}",
                why="names are identifiers, differ, and hyper-parameters leave "
                f"{', '.join(sorted(RESERVED))} to the language",
                hint="choose another name",
            )
    for h in declaration.hyper:
        if h.default is not None:
            h.check(h.default)


def _validate(declaration: Declaration) -> None:
    _validate_names(declaration)
    update, asked = declaration.update, f"declare {declaration.name}"
    if update.shape != MATRIX:
        raise DeclarationError(
            asked,
            at=update,
            why=f"its new weights are a {update.shape}, but W is m×n",
            hint="return an m×n expression, such as W - lr * G",
        )
    for leaked in (*placeholders(update), *free_carries(update)):
        raise DeclarationError(
            f"{asked}: a non-causal recursion",
            at=leaked,
            why="the state handed to a recursion's step is used outside it, where it has no value",
            hint="use the value that nd.fix returns, or nd.prev of it",
        )
    known = {h.name: h.domain for h in declaration.hyper}
    for x in walk(update):
        if isinstance(x, Param) and known.get(x.name) != x.domain:
            raise DeclarationError(
                asked,
                at=x,
                why=f"{x.name} is an undeclared name: not one of its hyper-parameters",
                hint="make it an argument of the decorated function",
            )
    if not any(isinstance(x, Stream) and x.source is Source.GRADIENT for x in walk(update)):
        raise DeclarationError(
            asked, at=update, why="the new weights do not depend on the gradient", hint="use nd.G"
        )
