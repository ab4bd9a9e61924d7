"""normdsl: write an optimizer as mathematics, have its invariances proved, run it as torch code.

    import normdsl as nd
    from normdsl import G, W

    @nd.optimizer
    def signum(lr=1e-3, beta=0.9):
        return W + lr * nd.max_entry.lmo(nd.ema(G, beta))

Importing normdsl imports neither torch nor sympy; they load when a declaration is checked or run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from normdsl.averages import accumulate, ema, eye_like, momentum, prev, zeros_like
from normdsl.declaration import Declaration, Hyperparameter
from normdsl.domains import Domain, Fraction, LossValue, NonNegative, Positive, Real
from normdsl.errors import (
    DeclarationError,
    DomainError,
    FactorisationError,
    GradientError,
    HyperparameterError,
    NormdslError,
    SerializationError,
    ShapeError,
)
from normdsl.expr import Expr
from normdsl.functions import (
    abs,
    cholesky,
    eigenbasis,
    exp,
    inner,
    inverse,
    log,
    matrix_power,
    max,
    maximum,
    minimum,
    normal_like,
    polar,
    reciprocal,
    sign,
    signs_like,
    sqrt,
    sum,
    tanh,
)
from normdsl.methods import QRSVD, SVD, CoupledNewton, Eigh, QRPower
from normdsl.norms import Norm, frobenius, max_entry, preconditioned, spectral
from normdsl.polynomials import GramNewtonSchulz, NewtonSchulz, Turbo
from normdsl.recursion import fix
from normdsl.schedule import Schedule, exact
from normdsl.sequences import cans, jordan, polar_express, quintic
from normdsl.streams import G, W, cols, loss, rows, t
from normdsl.trace import optimizer
from normdsl.version import __version__ as __version__

if TYPE_CHECKING:
    from normdsl.compiler.audit.audit import audit
    from normdsl.compiler.check import compare
    from normdsl.compiler.invariance import groups
    from normdsl.compiler.invariance.repair import repair
    from normdsl.compiler.invariance.solve import solve
    from normdsl.compiler.runtime.functional import functional
    from normdsl.compiler.runtime.schedule_error import schedule_error
    from normdsl.serial import from_json, to_json


_LAZY = {
    "algorithms": ("normdsl.algorithms", None),
    "audit": ("normdsl.compiler.audit.audit", "audit"),
    "groups": ("normdsl.compiler.invariance.groups", None),
    "compare": ("normdsl.compiler.check", "compare"),
    "solve": ("normdsl.compiler.invariance.solve", "solve"),
    "repair": ("normdsl.compiler.invariance.repair", "repair"),
    "functional": ("normdsl.compiler.runtime.functional", "functional"),
    "schedule_error": ("normdsl.compiler.runtime.schedule_error", "schedule_error"),
    "from_json": ("normdsl.serial", "from_json"),
    "to_json": ("normdsl.serial", "to_json"),
}


def __getattr__(name: str) -> Any:
    """Import what needs sympy, torch or cattrs when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'normdsl' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


__all__ = [
    "QRSVD",
    "SVD",
    "CoupledNewton",
    "Declaration",
    "DeclarationError",
    "Domain",
    "DomainError",
    "Eigh",
    "Expr", "FactorisationError",
    "Fraction",
    "G",
    "GradientError",
    "GramNewtonSchulz",
    "Hyperparameter",
    "HyperparameterError",
    "LossValue",
    "NewtonSchulz",
    "NonNegative",
    "Norm",
    "NormdslError",
    "Positive",
    "QRPower",
    "Real",
    "Schedule",
    "SerializationError",
    "ShapeError",
    "Turbo",
    "W",
    "abs",
    "accumulate",
    "audit",
    "cans",
    "cholesky",
    "cols",
    "compare",
    "eigenbasis",
    "ema",
    "exact",
    "exp",
    "eye_like",
    "fix",
    "frobenius",
    "from_json",
    "functional",
    "groups",
    "inner",
    "inverse",
    "jordan",
    "log",
    "loss",
    "matrix_power",
    "max",
    "max_entry",
    "maximum",
    "minimum",
    "momentum",
    "normal_like",
    "optimizer",
    "polar",
    "polar_express",
    "preconditioned",
    "prev",
    "quintic",
    "reciprocal",
    "repair",
    "rows",
    "schedule_error",
    "sign",
    "signs_like",
    "solve",
    "spectral",
    "sqrt",
    "sum",
    "t",
    "tanh",
    "to_json",
    "zeros_like",
]  # fmt: skip
