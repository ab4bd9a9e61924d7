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

from normdsl import decay, scale
from normdsl.averages import accumulate, ema, eye_like, momentum, prev, zeros_like
from normdsl.clipping import clip, clip_entries
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
    block_mean,
    cholesky,
    eigenbasis,
    exp,
    inner,
    inverse,
    kth_largest,
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
    trace,
)
from normdsl.gauge import Gauge
from normdsl.methods import QRSVD, SVD, CoupledNewton, Eigh, QRPower
from normdsl.norms import (
    Norm,
    column_norm,
    entrywise,
    frobenius,
    infimal,
    inner_only,
    ky_fan,
    l2_of,
    lp,
    max_entry,
    max_of,
    nuclear,
    one_to_rms,
    operator_norm,
    outer_only,
    over_layers,
    preconditioned,
    rms,
    rms_to_inf,
    rms_to_rms,
    row_norm,
    scaled_max_entry,
    schatten,
    spectral,
    sum_entries,
    sum_of,
    top_entries,
)
from normdsl.polynomials import GramNewtonSchulz, NewtonSchulz, Turbo
from normdsl.recursion import fix
from normdsl.schedule import Schedule, exact
from normdsl.sequences import cans, jordan, polar_express, quintic
from normdsl.statistics import coupled_grams, ema_in_basis, running_max
from normdsl.streams import G, W, cols, input_moment, loss, output_moment, rows, t
from normdsl.tracing import optimizer
from normdsl.version import __version__ as __version__

if TYPE_CHECKING:
    from normdsl.compiler.audit.audit import audit
    from normdsl.compiler.check import compare
    from normdsl.compiler.invariance import groups
    from normdsl.compiler.invariance.repair import repair
    from normdsl.compiler.invariance.solve import solve
    from normdsl.compiler.routing.roles import roles
    from normdsl.compiler.runtime import views
    from normdsl.compiler.runtime.capture import capture
    from normdsl.compiler.runtime.functional import functional
    from normdsl.compiler.runtime.schedule_error import schedule_error
    from normdsl.routing import route
    from normdsl.serial import from_json, to_json


_LAZY = {
    "algorithms": ("normdsl.algorithms", None),
    "audit": ("normdsl.compiler.audit.audit", "audit"),
    "groups": ("normdsl.compiler.invariance.groups", None),
    "compare": ("normdsl.compiler.check", "compare"),
    "solve": ("normdsl.compiler.invariance.solve", "solve"),
    "repair": ("normdsl.compiler.invariance.repair", "repair"),
    "capture": ("normdsl.compiler.runtime.capture", "capture"),
    "functional": ("normdsl.compiler.runtime.functional", "functional"),
    "roles": ("normdsl.compiler.routing.roles", "roles"),
    "route": ("normdsl.routing", "route"),
    "schedule_error": ("normdsl.compiler.runtime.schedule_error", "schedule_error"),
    "from_json": ("normdsl.serial", "from_json"),
    "to_json": ("normdsl.serial", "to_json"),
    "views": ("normdsl.compiler.runtime.views", None),
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
    "Expr",
    "FactorisationError",
    "Fraction",
    "G",
    "Gauge",
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
    "block_mean",
    "cans",
    "capture",
    "cholesky",
    "clip",
    "clip_entries",
    "cols",
    "column_norm",
    "compare",
    "coupled_grams",
    "decay",
    "eigenbasis",
    "ema",
    "ema_in_basis",
    "entrywise",
    "exact",
    "exp",
    "eye_like",
    "fix",
    "frobenius",
    "from_json",
    "functional",
    "groups",
    "infimal",
    "inner",
    "inner_only",
    "input_moment",
    "inverse",
    "jordan",
    "kth_largest",
    "ky_fan",
    "l2_of",
    "log",
    "loss",
    "lp",
    "matrix_power",
    "max",
    "max_entry",
    "max_of",
    "maximum",
    "minimum",
    "momentum",
    "normal_like",
    "nuclear",
    "one_to_rms",
    "operator_norm",
    "optimizer",
    "outer_only",
    "output_moment",
    "over_layers",
    "polar",
    "polar_express",
    "preconditioned",
    "prev",
    "quintic",
    "reciprocal",
    "repair",
    "rms",
    "rms_to_inf",
    "rms_to_rms",
    "roles",
    "route",
    "row_norm",
    "rows",
    "running_max",
    "scale",
    "scaled_max_entry",
    "schatten",
    "schedule_error",
    "sign",
    "signs_like",
    "solve",
    "spectral",
    "sqrt",
    "sum",
    "sum_entries",
    "sum_of",
    "t",
    "tanh",
    "to_json",
    "top_entries",
    "trace",
    "views",
    "zeros_like",
]  # fmt: skip
