"""One optimizer for a whole model: a rule for each role of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from normdsl.declarations.aliases import BETAS
from normdsl.declarations.configured import ConfiguredRule
from normdsl.declarations.rule import Rule
from normdsl.errors import HyperparameterError
from normdsl.schedules.schedule import Schedule

if TYPE_CHECKING:
    from torch import nn

    from normdsl.compiler.layouts.view import View
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

AnyRule = ConfiguredRule | Rule


def route(
    model: nn.Module,
    default: AnyRule | None = None,
    *,
    hidden: AnyRule | None = None,
    embedding: AnyRule | None = None,
    head: AnyRule | None = None,
    vector: AnyRule | None = None,
    pairs: AnyRule | None = None,
    overrides: Mapping[str, AnyRule | View | str] | None = None,
    **options: Any,
) -> DeclaredOptimizer:
    """Return one optimizer for a model, in which each role of parameters has its rule.

    `nd.route(model, muon)` gives hidden matrices to Muon and all else to AdamW at its defaults;
    `nd.route(model, hidden=muon(lr=0.02), head=adamw(lr=3e-4), …)` says all of it. Every parameter
    that takes a gradient is in exactly one group; `nd.roles(model)` shows the roles beforehand.
    Matrices of convolutions, gates, heads and experts are seen through `nd.views`.

    Args:
        model: the model. Parameters frozen now are left out.
        default: the rule of hidden matrices; AdamW takes the roles that have no rule.
        hidden: likewise, where roles without a rule are refused.
        embedding: of embeddings, and of tensors that are tied to one.
        head: of the output layer's matrix.
        vector: of biases, gains, scalars, and the parameters of norms.
        pairs: a rule over several parameters, for those whose names differ by the names that the
            rule has for them alone: lora_A and lora_B, as adapters of peft are called, or q_proj
            and k_proj. The roles hold for all others.
        overrides: by regular expression, searched in names: a rule, the name of a role, or a view
            of `nd.views`. The first that is found counts.
        options: of the optimizer: `schedule=`, `nonfinite=`, …; hyper-parameters belong to rules.

    Raises:
        HyperparameterError: for a role without a rule, two rules for one, an override or a hidden
            rule without parameters, or an unknown option.
        GradientError: for a parameter that its rule cannot take.

    Example:
        >>> import normdsl as nd
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> opt = nd.route(model, nd.algorithms.muon)
        >>> [(g["rule"].name, len(g["params"])) for g in opt.param_groups]
        [('muon', 1), ('adamw', 2), ('adamw', 1)]
    """
    from normdsl.compiler.routing.route import routed
    from normdsl.compiler.runtime.optimizer import DeclaredOptimizer

    told = {"hidden": hidden, "embedding": embedding, "head": head, "vector": vector}
    rules = {role: rule for role, rule in told.items() if rule is not None}
    groups = routed(model, _with_default(rules, default), overrides, pairs)
    return DeclaredOptimizer(None, groups, **options)


def whole(model: nn.Module, rule: Any, told: Mapping[str, Any]) -> DeclaredOptimizer:
    """Return the optimizer of a whole model, by one rule where it takes every kind of parameter.

    A rule that knows matrices takes the hidden ones, by `route`. `told` holds options of an
    optimizer, hyper-parameters of the rule, and its view and schedule.
    """
    from normdsl.compiler.layouts.stepper import stepper

    if not stepper(rule, Schedule()).matrix_only:
        taken = [x for x in model.named_parameters() if x[1].requires_grad]
        made: DeclaredOptimizer = rule(taken, **told)
        return made
    own = {*rule.defaults, BETAS, "view", "schedule"}
    choice: ConfiguredRule = rule(**{k: v for k, v in told.items() if k in own})
    return route(model, choice, **{k: v for k, v in told.items() if k not in own})


def _with_default(rules: Mapping[str, AnyRule], default: AnyRule | None) -> dict[str, AnyRule]:
    """Return the rules of all roles, if there is a default."""
    if default is None:
        return dict(rules)
    if "hidden" in rules:
        raise HyperparameterError(
            "route hidden matrices to two rules",
            why="the rule without a name is theirs, and so is hidden=…",
            hint="pass one of them",
        )
    # Late, since algorithms are written in the language whose face lists this function.
    from normdsl.algorithms import adamw

    return {**dict.fromkeys(("embedding", "head", "vector"), adamw()), "hidden": default, **rules}
