"""Rules: an update as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import attrs

from normdsl.declarations import legal
from normdsl.declarations.display import declared_latex, declared_text
from normdsl.declarations.folding import Zeroed, fold
from normdsl.declarations.hyperparameters import Hyperparameter
from normdsl.declarations.labels import labels
from normdsl.declarations.parts import part
from normdsl.declarations.substitution import Substitution
from normdsl.errors import DeclarationError, HyperparameterError, kind
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import (
    Asked,
    Joint,
    Param,
    Query,
    Returned,
    Source,
    Stream,
    WorkersMean,
    next_weights,
)
from normdsl.expressions.nodes.constants import as_expr, exact
from normdsl.expressions.ports import Port, shapes, sizes
from normdsl.expressions.streams import MOMENTS, G, called
from normdsl.expressions.traversal import walk
from normdsl.near import did_you_mean

#: Dimensions of a space that parameters share, where what a rule costs is told for a shape.
SHARED = 16
P = ParamSpec("P")
T = TypeVar("T")


def remembered(
    maxsize: int,
) -> Callable[[Callable[Concatenate[Rule, P], T]], Callable[Concatenate[Rule, P], T]]:
    """Return a decorator that remembers what a function returns for rules.

    Equal rules whose authors named their parts differently are kept apart here, since results
    show these names.
    """

    def decorate(function: Callable[Concatenate[Rule, P], T]) -> Callable[Concatenate[Rule, P], T]:
        @lru_cache(maxsize)
        def known(rule: Rule, names: object, *args: P.args, **kwargs: P.kwargs) -> T:
            return function(rule, *args, **kwargs)

        @wraps(function)
        def call(rule: Rule, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return known(rule, rule.names, *args, **kwargs)  # type: ignore[arg-type]

        call.cache_clear = known.cache_clear  # type: ignore[attr-defined]
        return call

    return decorate


@lru_cache(maxsize=1024)
def _sources(update: Expr) -> frozenset[Source]:
    """Return the streams that a rule reads; every step asks."""
    return frozenset(x.source for x in walk(update) if isinstance(x, Stream))


@lru_cache(maxsize=1024)
def _asks(update: Expr) -> bool:
    return any(isinstance(x, Query) for x in walk(update))


@lru_cache(maxsize=1024)
def _averages(update: Expr) -> bool:
    return any(isinstance(x, WorkersMean) for x in walk(update))


@attrs.frozen(repr=False, slots=False)
class Rule:
    """An update rule W ← f(W, G, t, loss, moments), with its hyper-parameters.

    Args:
        name: the name of the rule.
        hyper: its hyper-parameters, in order.
        update: the new weights, an m×n expression, perhaps with a point beside them.
        names: what the author called sub-expressions, for display.
        doc: the author's description.
        module: where it was declared. qualname: what it is called there, with what is around it.
    """

    name: str
    hyper: tuple[Hyperparameter, ...]
    update: Expr
    names: tuple[tuple[str, Expr], ...] = attrs.field(default=(), eq=False)
    doc: str = attrs.field(default="", eq=False)
    module: str = attrs.field(default="", eq=False)
    qualname: str = attrs.field(default="", eq=False)

    def __attrs_post_init__(self) -> None:
        legal.require(self.name, self.hyper, self.update, [name for name, _ in self.names])
        # Instances have these from their class; a declaration has its own, as functions do.
        told: dict[str, Any] = {"__qualname__": self.qualname or self.name}
        told |= {"__doc__": self.doc or type(self).__doc__}
        told |= {"__module__": self.module} if self.module else {}
        # Libraries that find fields on a declaration would call it with them, as a class.
        vars(self).update(told, __attrs_attrs__=None)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: what it was made from."""
        return {f.name: getattr(self, f.name) for f in attrs.fields(Rule)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the declaration; those saved before they knew their place have none."""
        Rule.__init__(self, **state)

    @property
    def __name__(self) -> str:
        """Its name, as a class or function has one."""
        return self.name

    @property
    def defaults(self) -> dict[str, float | None]:
        """Default value of each hyper-parameter."""
        return {h.name: h.default for h in self.hyper}

    @property
    def labels(self) -> dict[Expr, str]:
        """Names of sub-expressions and states, in the order in which they are computed."""
        return labels(self.update, self.names)

    @property
    def weights(self) -> Expr:
        """The new weights, without the point that may stand beside them."""
        return next_weights(self.update)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The parameters of a rule over several; none for a rule of one matrix W."""
        return self.update.ports if isinstance(self.update, Joint) else ()

    @property
    def evaluate(self) -> Expr | None:
        """The state that holds the point at which the model is evaluated, if it is not W."""
        return self.update.evaluate if isinstance(self.update, Returned) else None

    @property
    def asks(self) -> bool:
        """Whether the rule asks for the loss, its gradient or its Hessian at a point of its own.

        A step is then `opt.step(closure)`, which evaluates the loss more than once.
        """
        return _asks(self.update)

    @property
    def averages(self) -> bool:
        """Whether the rule averages over workers, by `nd.mean(x, over="workers")`."""
        return _averages(self.update)

    @cached_property
    def zeroed(self) -> Zeroed:
        """What its expressions are with one hyper-parameter at zero: checks of all groups ask."""
        return Zeroed()

    def reads(self, source: Source) -> bool:
        """Return whether the rule reads a stream."""
        return source in _sources(self.update)

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of the layer's moments that the rule reads."""
        return tuple(name for source, name in MOMENTS.items() if self.reads(source))

    @cached_property
    def neighbours(self) -> tuple[Stream, ...]:
        """The streams of other parameters that a part of a rule over several reads."""
        found = (x for x in walk(self.update) if isinstance(x, Stream) and x.port is not None)
        return () if self.ports else tuple(x for x in found if x.port and x.port.name)

    @cached_property
    def partial(self) -> bool:
        """Whether it is a part of a rule over several: of one that reads others, or is square."""
        return not self.ports and any(
            isinstance(x, Stream) and x.port is not None for x in walk(self.update)
        )

    @property
    def asides(self) -> tuple[str, ...]:
        """Names of what it reads of a parameter besides weights and gradient.

        Moments of its layer, and the streams of other parameters.
        """
        near = (called(x.source, x.port.name) for x in self.neighbours if x.port is not None)
        return (*self.moments, *near)

    def part(self, number: int, **sizes: int) -> Rule:
        """Return the rule of one parameter of several, as a rule of one matrix that reads others.

        Args:
            number: which of them, in order, from 0. sizes: dimensions of the spaces that it does
                not have itself, by name.

        Example:
            >>> import normdsl as nd
            >>> print(nd.algorithms.scaled_gd.part(0, m=64))
            scaled_gd(η: lr = 0.1, damping = 1e-06)
              S    ← Bᵀ B
              down ← (S + damping I)⁻¹ G
              W    ← W − η down
        """
        return _part(self, number, tuple(sorted(sizes.items())))

    @property
    def parts(self) -> tuple[Rule, ...]:
        """The rule of each parameter of several; of one, the rule itself."""
        return tuple(self.part(k) for k in range(len(self.ports))) or (self,)

    def sized_parts(self, shape: tuple[int, int]) -> dict[str, tuple[Rule, tuple[int, int]]]:
        """Return the rule of each parameter with its rows and columns, by name.

        Args:
            shape: of W; of several parameters, dimensions of outputs and of inputs.
        """
        if not self.ports:
            return {"W": (self, shape)}
        found = sizes(self.ports, shape, shared=SHARED)
        named = {space.name: size for space, size in found.items()}
        each = zip(self.ports, shapes(self.ports, found), strict=True)
        return {port.name: (self.part(k, **named), size) for k, (port, size) in enumerate(each)}

    def bind(self, **values: float) -> Rule:
        """Return the declaration with some hyper-parameters fixed to numbers.

        Raises:
            HyperparameterError: for an unknown name or a value outside its domain.
        """
        table = {}
        for name, value in values.items():
            known = self.hyperparameter(name)
            table[Param(name, known.domain)] = as_expr(exact(known.check(value)))
        return attrs.evolve(
            self,
            hyper=tuple(h for h in self.hyper if h.name not in values),
            update=fold(self.update, table),
            names=tuple((name, fold(x, table)) for name, x in self.names),
        )

    def sized(self, values: Mapping[str, Any]) -> Rule:
        """Return the declaration with the lengths in it that are hyper-parameters as numbers.

        What is run has them as numbers, since states are as long as these say. They stay among its
        hyper-parameters, without an effect.

        Args:
            values: of hyper-parameters, numbers or scalar tensors; others have their defaults.

        Raises:
            HyperparameterError: if one has neither a value nor a default.
        """
        open_ones = _lengths(self.update)
        sizes = tuple((h.name, _length(self, h, values)) for h in self.hyper if h.name in open_ones)
        return _sized(self, sizes) if sizes else self

    def on_gradient(self, function: Callable[[Expr], Expr], name: str | None = None) -> Rule:
        """Return the rule fed g = `function(G)` wherever it reads the gradient G.

        rule.on_gradient(lambda G: nd.clip(G, 1.0)) steps as the rule does on clipped gradients. The
        function may have states of its own; gradients at other points go through it as well,
        moments of a layer and products with a Hessian stay as they are. The rule keeps its name,
        unless it is given another.

        Raises:
            DeclarationError: for anything but a function that returns an m×n expression of G.
        """
        asked = f"feed {self.name} another gradient"
        if not callable(function):
            raise DeclarationError(
                asked,
                why=f"{kind(function)} is not a function of G",
                hint="pass one: rule.on_gradient(lambda G: nd.clip(G, 1.0))",
            )
        slopes = [Stream(Source.GRADIENT, port, where=None) for port in self.ports] or [G]
        table: dict[Expr, Expr] = {slope: function(slope) for slope in slopes}
        for slope, fed in table.items():
            if not (isinstance(fed, Expr) and fed.shape == slope.shape):
                found = f"{fed.shape.phrase} expression" if isinstance(fed, Expr) else kind(fed)
                raise DeclarationError(
                    asked,
                    at=fed if isinstance(fed, Expr) else None,
                    why=f"the function returns {found}, but a gradient is {slope.shape.phrase} "
                    "expression",
                    hint="return one: rule.on_gradient(lambda G: nd.clip(G, 1.0))",
                )

        def elsewhere(query: Query, found: Expr) -> Expr:
            return function(found) if query.asked is Asked.GRADIENT else found

        change = Substitution(table, elsewhere)
        names = tuple((name, change(x)) for name, x in self.names)
        called_g = [f"g_{port.name}" for port in self.ports] or ["g"]
        given = zip(called_g, table.values(), strict=True)
        title = self.name if name is None else name
        update = change(self.update)
        place = self.qualname if name is None else ""
        return attrs.evolve(self, name=title, update=update, names=(*given, *names), qualname=place)

    def hyperparameter(self, name: str, besides: Iterable[str] = ()) -> Hyperparameter:
        """Return the hyper-parameter called `name`.

        Args:
            name: its name. besides: what else may have been meant where it was written.

        Raises:
            HyperparameterError: if there is none.
        """
        for known in self.hyper:
            if known.name == name:
                return known
        raise HyperparameterError(
            f"set {name!r} of {self.name}",
            why=f"{self.name} has no hyper-parameter of that name",
            hint=did_you_mean(
                name, (h.name for h in self.hyper), "its hyper-parameters are", besides
            ),
        )

    def __str__(self) -> str:
        return declared_text(self)

    def __repr__(self) -> str:
        return declared_text(self)

    def _repr_latex_(self) -> str:
        return declared_latex(self)


@remembered(maxsize=256)
def _part(rule: Rule, number: int, sizes: tuple[tuple[str, int], ...]) -> Rule:
    assert isinstance(rule.update, Joint)
    update, names = part(rule.update, rule.names, number, dict(sizes))
    return attrs.evolve(rule, update=update, names=names)


@lru_cache(maxsize=1024)
def _lengths(update: Expr) -> frozenset[str]:
    """Return the hyper-parameters that are lengths; every step asks."""
    return frozenset(x.name for x in walk(update) if isinstance(x, Param) and x.domain.length)


def _length(rule: Rule, h: Hyperparameter, values: Mapping[str, Any]) -> int | float:
    value = values.get(h.name)
    value = h.default if value is None else value
    if value is None:
        raise HyperparameterError(
            f"size the states of {rule.name}",
            why=f"{h.name} has no default, and no value was given",
            hint=f"fix it: {rule.name}.bind({h.name}=32)",
        )
    known = float(value)
    h.check(known)
    return int(known) if h.domain.whole else known


@remembered(maxsize=256)
def _sized(rule: Rule, sizes: tuple[tuple[str, int | float], ...]) -> Rule:
    return attrs.evolve(rule.bind(**dict(sizes)), hyper=rule.hyper)
