"""A rule with hyper-parameters, before it has parameters: what routes and parameter groups take."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import attrs

from normdsl.declarations.aliases import spread
from normdsl.schedules.schedule import Schedule
from normdsl.show.page import Shown, title


@attrs.frozen(repr=False)
class ConfiguredRule(Shown):
    """A rule, some of its hyper-parameters, and how it is applied.

    Made by calling a declaration without parameters, `muon(lr=0.01)`, and given to `nd.route` or
    as `"rule"` of a parameter group; or called on parameters, later. The hyper-parameters left out
    have their defaults.

    Args:
        rule: the declaration.
        hyper: hyper-parameters, numbers or scalar tensors, by name; `betas` are kept as beta1, ….
        view: how parameters are seen as matrices, of `nd.views`; None for the natural view.
        schedule: how it is computed; None for that of the optimizer.

    Raises:
        HyperparameterError: for an unknown name or a number outside its domain.
    """

    rule: Any
    hyper: Mapping[str, Any] = attrs.field(factory=dict, converter=dict)
    view: Any = None
    schedule: Schedule | None = None

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "hyper", spread(self.rule, self.hyper))
        for name, value in self.hyper.items():
            known = self.rule.hyperparameter(name, ("view", "schedule"))
            # A tensor is read where it lies; None stands for a value that comes later.
            if isinstance(value, Real) or not (value is None or hasattr(value, "__float__")):
                known.check(value)

    def __call__(self, params: Any, **options: Any) -> Any:
        """Return the optimizer of parameters, as `rule(params, …)` does with all that was chosen.

        Given a model, as trainers hand it to factories of optimizers: all its parameters that need
        a gradient step by the rule; if it knows matrices, `nd.route` gives it the hidden ones.

        Args:
            params: parameters, parameter groups, or a model. options: of an optimizer, and more
                hyper-parameters, which go before those chosen.
        """
        told = {**self.group(), **options}
        rule = told.pop("rule")
        if hasattr(params, "named_parameters"):
            return rule.of_model(params, told)
        return rule(params, **told)

    def group(self) -> dict[str, Any]:
        """Return what a parameter group holds of it."""
        told = {"view": self.view, "schedule": self.schedule}
        return {"rule": self.rule, **self.hyper, **{k: v for k, v in told.items() if v is not None}}

    def __str__(self) -> str:
        settings = [f"{name}={value}" for name, value in self.hyper.items()]
        settings += [] if self.view is None else [f"view={self.view}"]
        return f"{self.rule.name}({', '.join(settings)})"

    def _repr_html_(self) -> str:
        return title(str(self)) + str(self.rule._repr_latex_())
