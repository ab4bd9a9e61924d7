"""A rule as a class of optimizers, for places that ask for a class."""

from __future__ import annotations

import copyreg
from typing import Any
from weakref import WeakValueDictionary

from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declarations.rule import Rule
from normdsl.declarations.signature import signature


class RuleClass(type):
    """The class of such classes: they are pickled as their rules, wherever these were declared."""


#: By rule, with all that does not count in comparing rules, as long as somebody holds the class.
_MADE: WeakValueDictionary[tuple[object, ...], RuleClass] = WeakValueDictionary()


def optimizer_class(rule: Rule) -> type[DeclaredOptimizer]:
    """Return the class whose instances step by a rule: the same one for the same rule."""
    key = (rule, rule.names, rule.doc, rule.__module__, rule.qualname)
    made = _MADE.get(key)
    if made is None:
        made = _MADE[key] = _made(rule)
    return made  # type: ignore[return-value]


def _made(rule: Rule) -> RuleClass:
    qualname = f"{rule.qualname or rule.name}.Optimizer"

    def init(self: DeclaredOptimizer, params: Any, **options: Any) -> None:
        DeclaredOptimizer.__init__(self, rule, params, **options)

    own = signature(rule.hyper, None)
    this = next(iter(own.parameters.values())).replace(name="self")
    init.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[this, *own.parameters.values()]
    )
    init.__name__, init.__module__ = "__init__", rule.__module__
    init.__qualname__ = f"{qualname}.__init__"
    space = {
        "__init__": init,
        "__doc__": rule.doc or DeclaredOptimizer.__doc__,
        "__module__": rule.__module__,
        "__qualname__": qualname,
        "rule": rule,
    }
    return RuleClass(rule.name, (DeclaredOptimizer,), space)


def _reduced(made: RuleClass) -> str | tuple[Any, ...]:
    """Return how a class is pickled: as its rule, or by name, if it is a subclass of users."""
    own = "rule" in vars(made)
    return (optimizer_class, (vars(made)["rule"],)) if own else made.__qualname__


copyreg.pickle(RuleClass, _reduced)
