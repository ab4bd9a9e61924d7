"""The signature of a rule as an optimizer: parameters, hyper-parameters, options."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from normdsl.declarations.aliases import BETAS, members
from normdsl.schedules.schedule import Schedule

if TYPE_CHECKING:
    from normdsl.declarations.hyperparameters import Hyperparameter

#: What every optimizer takes besides hyper-parameters: name, annotation, default.
OPTIONS: tuple[tuple[str, Any, Any], ...] = (
    ("schedule", Schedule | None, None),
    ("view", Any, None),
    ("maximize", bool, False),
    ("nonfinite", str | None, None),
    ("judged", bool, False),
    ("capturable", bool, False),
    ("differentiable", bool, False),
    ("capture", Any, None),
    ("buffers", Any, ()),
    ("seed", int, 0),
    ("replicas", Any, None),
)
OPTION_NAMES = tuple(name for name, *_ in OPTIONS)


def signature(hyper: Sequence[Hyperparameter], returns: Any) -> Signature:
    """Return the signature of a rule with these hyper-parameters, for editors and command lines.

    All but the parameters are given by name; `betas` may stand for beta1, beta2, ….
    """
    named = [
        _named(
            h.name,
            int if h.domain.whole else float,
            Parameter.empty if h.default is None else h.default,
        )
        for h in hyper
    ]
    count = len(members(h.name for h in hyper))
    pair: Any = tuple[(float,) * count]  # type: ignore[misc]
    betas = [_named(BETAS, pair | None, None)] if count else []
    first = Parameter("params", Parameter.POSITIONAL_OR_KEYWORD, annotation=Any)
    options = [_named(*option) for option in OPTIONS]
    return Signature([first, *named, *betas, *options], return_annotation=returns)


def _named(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
