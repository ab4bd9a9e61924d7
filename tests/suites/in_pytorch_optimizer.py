"""A pytest plugin for pytorch_optimizer's tests: our optimizers in its registry and recipes."""

import inspect

from suites.marking import pytest_collection_modifyitems  # noqa: F401
from suites.ours import CLASSES

#: Learning rate and steps of each rule on their small problem, like those of their own recipes.
RECIPES = {
    "adamw": (5e-1, 5),
    "muon": (5e-1, 5),
    "shampoo": (5e-1, 10),
    "soap": (5e-1, 10),
    "muadam_sania": (1e-2, 20),
    "kl_shampoo": (5e-1, 10),
}


def pytest_configure(config):
    """Enter our classes after the suite's tables are made, which try complex parameters out."""
    from pytorch_optimizer.optimizer import OPTIMIZERS

    from tests import optimizer_cases, recipes

    for rule, cls in CLASSES.items():
        name, known = cls.__name__, inspect.signature(cls).parameters
        OPTIMIZERS[name] = cls
        lr, steps = RECIPES[rule]
        recipes.OPTIMIZER_RECIPES.append((name, {"lr": lr}, steps))
        optimizer_cases.VALID_OPTIMIZER_NAMES += (name,)
        for option, table in (("eps", "SKIP_EPSILON"), ("weight_decay", "SKIP_WEIGHT_DECAY")):
            if option not in known:
                setattr(optimizer_cases, table, getattr(optimizer_cases, table) | {name})
        optimizer_cases.MAXIMIZE_OPTIMIZERS |= {name}
    optimizer_cases.COMPLEX_OPTIMIZERS |= {CLASSES["adamw"].__name__}
