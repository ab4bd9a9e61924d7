"""A pytest plugin for timm's tests: our optimizers in its registry."""

import importlib.machinery
import inspect
import sys
import types

import pytest
import torch

from suites.marking import pytest_collection_modifyitems  # noqa: F401
from suites.ours import CLASSES

#: Learning rate, and the step after which the loss falls: SOAP takes none at first.
CONVERGENCE = {
    "adamw": (5e-2, 0),
    "muon": (1e-2, 0),
    "shampoo": (5e-2, 0),
    "soap": (1e-2, 1),
    "muadam_sania": (1e-3, 0),
    "kl_shampoo": (1e-2, 0),
}


class _Names(type):
    """A class whose attributes are their own names."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Absent(types.ModuleType):
    """A module of classes without content."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (), {})


class _Torchvision:
    """Finds empty modules in place of torchvision: a wheel for another torch cannot be imported."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Absent(spec.name)

    def exec_module(self, module):
        module.__version__ = "0"


def pytest_configure(config):
    sys.meta_path.insert(0, _Torchvision())
    from timm.optim._optim_factory import OptimInfo, default_registry

    for cls in CLASSES.values():
        known = inspect.signature(cls).parameters
        default_registry.register(
            OptimInfo(
                name=cls.__name__,
                opt_class=cls,
                has_eps="eps" in known,
                has_momentum="momentum" in known,
                has_betas="betas" in known,
            )
        )


def pytest_collectstart(collector):
    """Enter our classes among those whose convergence is tested, before tests are made of them."""
    if isinstance(collector, pytest.Module) and collector.path.name == "test_optim.py":
        suite = collector.obj
        for rule, (rate, after) in CONVERGENCE.items():
            name = CLASSES[rule].__name__
            suite._CONVERGENCE_CFGS[name] = suite._conv(5e-2, {"lr": rate}, after_step=after)
            (mark,) = suite.test_optimizer_convergence.pytestmark
            mark.args[1].append(name)


def pytest_runtest_setup(item):
    """Draw the same random problems in every run; the suite leaves them to chance."""
    torch.manual_seed(0)
