"""The methods of a declaration that need the compiler, each one line, imported when called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import Signature
from typing import TYPE_CHECKING, Any, cast, overload

import attrs

from normdsl.errors import DeclarationError
from normdsl.expr import Expr
from normdsl.schedule import Schedule
from normdsl.shapes import are_lengths
from normdsl.signature import signature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from normdsl.choice import Choice
    from normdsl.compiler.invariance.groups import Group
    from normdsl.compiler.invariance.report import Report
    from normdsl.compiler.invariance.verdict import Verdict
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer


class OfInstances:
    """A property that instances have and their class has not, where `inspect` asks both."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            raise AttributeError(self.function.__name__)
        return self.function(instance)


class Method:
    """A method that is no function to those who look it up on the class.

    Command lines (jsonargparse) take the signature of `type(rule).__call__`, if that is a function,
    and otherwise that of the rule, which names its hyper-parameters.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self if instance is None else self.function.__get__(instance, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)


@attrs.frozen
class Compiled:
    """What the compiler adds to a declaration.

    A declaration is a value, and stands where a class of optimizers is asked for:
    `issubclass(rule, torch.optim.Optimizer)` holds, it has a name, a module and a signature, and
    `rule.Optimizer` is a class proper.
    """

    @overload
    def __call__(self, params: None = None, **options: Any) -> Choice: ...

    @overload
    def __call__(self, params: Any, **options: Any) -> DeclaredOptimizer: ...

    def __call__(self, params: Any = None, **options: Any) -> DeclaredOptimizer | Choice:
        """Return a `torch.optim.Optimizer` for `params`.

        Options are hyper-parameters (`betas=` for beta1, beta2), `schedule=`, `view=`, `maximize=`,
        `capturable=`, `nonfinite="raise" | "skip"`, `seed=` of the random numbers that the rule
        draws, and `capture=`, the `nd.capture(model)` of a rule that reads moments of the layers.
        Without parameters: a `Choice` of hyper-parameters, view and schedule, for `nd.route` or a
        parameter group.

        Raises:
            HyperparameterError: for an unknown option or a value outside its domain.
            DeclarationError: for an expression in place of parameters, as in another declaration.
        """
        if params is None and not any(isinstance(x, Expr) for x in options.values()):
            from normdsl.choice import Choice

            told = {k: options.pop(k) for k in ("view", "schedule") if k in options}
            return Choice(cast("Any", self), options, **told)
        if params is None or isinstance(params, Expr):
            raise DeclarationError(
                "call a declaration inside another",
                why="declarations do not nest: called, one becomes an optimizer of parameters",
                hint="share a plain Python function between declarations, or pass the parameters",
            )
        return self.Optimizer(params, **options)

    @property
    def Optimizer(self) -> type[DeclaredOptimizer]:
        """The class of which `rule(params)` is an instance, for places that take classes alone."""
        from normdsl.compiler.runtime.standing import optimizer_class

        return optimizer_class(cast("Any", self))

    @property
    def __bases__(self) -> tuple[type, ...]:
        """The classes above, as `issubclass` asks for them."""
        return (self.Optimizer,)

    def __instancecheck__(self, instance: object) -> bool:
        """Return whether an optimizer steps by this rule, where its groups bring none."""
        from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

        return isinstance(instance, DeclaredOptimizer) and instance.declaration == self

    @OfInstances
    def __signature__(self) -> Signature:
        """How it is called on parameters."""
        from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

        return signature(cast("Any", self).hyper, DeclaredOptimizer)

    def check(
        self, group: Group | str | Iterable[Group | str] | None = None, **assumptions: Any
    ) -> Report | Verdict:
        """Return the verdict for one group, or a report over several or over all of them.

        Assumptions fix hyper-parameters, `check(nd.groups.scale, eps=0)`, or name parts of the
        rule, `check(nd.groups.affine, transported="L, R", full_rank=True)`, in the words in which
        verdicts print them; `witnesses=False` leaves out the search for counterexamples.
        """
        from normdsl.compiler.check import check

        return check(cast("Any", self), group, **assumptions)

    def source(self, shape: tuple[int, int] = (256, 512), schedule: Schedule | None = None) -> str:
        """Return the torch code for weights of `shape`; it imports torch alone.

        Raises:
            DeclarationError: if the shape is not two positive numbers.
        """
        if not are_lengths(shape):
            raise DeclarationError(
                f"print the code for shape {shape!r}",
                why="weights are matrices, rows × columns",
                hint="pass shape=(256, 512)",
            )
        from normdsl.compiler.lowering.program import lower

        return lower(cast("Any", self), schedule or Schedule()).source(shape)


Compiled.__call__ = Method(Compiled.__call__)  # type: ignore[method-assign]
