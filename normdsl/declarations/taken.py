"""Names that are taken: by the language, by emitted code, by optimizers and those who use them."""

from __future__ import annotations

from typing import Any

from normdsl.declarations.identifiers import CODE, is_name
from normdsl.expressions.streams import MOMENTS

#: Names that the language, the emitted code and optimizers use themselves.
RESERVED = CODE | {*MOMENTS.values(), "self", "declaration"}
#: What a parameter group of an optimizer holds besides hyper-parameters.
SETTINGS = ("rule", "schedule", "view", "maximize", "seed")
#: Keys that schedulers and trainers put into parameter groups, or read there.
FOREIGN = frozenset(
    {"params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "swa_lr", "lr_scale"}
    | {"base_momentum", "max_momentum"}
)
#: Names that no hyper-parameter may have: these, and the options of an optimizer.
TAKEN = (
    RESERVED
    | FOREIGN
    | {*SETTINGS, "nonfinite", "judged", "capture", "capturable", "differentiable", "replicas"}
)


def fault(name: Any, hyper: list[str]) -> str:
    """Return why a name is refused, beside the names of hyper-parameters."""
    if not is_name(name):
        return (
            "a name must be a word of letters, digits and _ that Python leaves as it is written, "
            "and not one of Python's own"
        )
    if hyper.count(name) > 1:
        return "two hyper-parameters have that name"
    return "normdsl and optimizers use that name themselves, and so do " + ", ".join(
        sorted(TAKEN - {name})
    )
