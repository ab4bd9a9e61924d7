"""normdsl: write an optimizer as mathematics, have its invariances proved, run it as torch code.

    import normdsl as nd
    from normdsl import G, W

    @nd.optimizer
    def signum(lr=1e-3, beta=0.9):
        return W + lr * nd.max_entry.lmo(nd.ema(G, beta))

Importing normdsl imports neither torch nor sympy: each name is loaded when it is first used, and
these two when a declaration is checked or run.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Where the public names are defined, by module. `__init__.pyi` tells type checkers the same.
_NAMES = {
    "compiler.audit.audit": "audit",
    "compiler.invariance.group": "Action Group",
    "compiler.invariance.repair": "repair",
    "compiler.invariance.solve": "solve",
    "compiler.routing.roles": "roles",
    "compiler.evaluations.capture": "capture",
    "compiler.evaluations.outputs": "outputs",
    "compiler.runtime.functional": "functional",
    "compiler.runtime.schedule_error": "schedule_error",
    "compiler.runtime.simulated": "simulate",
    "compiler.verdicts.check": "compare",
    "compiler.verdicts.twins": "twins",
    "declaration": "Declaration from_json optimizer",
    "declarations.hyperparameters": "Hyperparameter",
    "declarations.serial": "to_json",
    "errors": (
        "DeclarationError DomainError FactorisationError GradientError HyperparameterError "
        "NormdslError NormdslWarning SerializationError ShapeError"
    ),
    "exploring.explore": "explore",
    "expressions.domains": "Count Domain Fraction LossValue NonNegative Positive Rank Real Share",
    "expressions.expr": "Expr",
    "expressions.gauge": "Gauge",
    "expressions.recursion": "fix",
    "expressions.streams": "G W cols input_moment loss output_moment rows t",
    "norms": (
        "Norm column_norm entrywise frobenius infimal inner_only ky_fan l2_of lp max_entry max_of "
        "nuclear one_to_rms operator_norm outer_only over_layers preconditioned rms rms_to_inf "
        "rms_to_rms row_norm scaled_max_entry schatten spectral sum_entries sum_of top_entries"
    ),
    "norms.clipping": "clip clip_entries",
    "routing": "route",
    "schedules.coefficients": "cans jordan polar_express quintic",
    "schedules.methods": (
        "Automatic CoupledNewton Differences DoubleBackward Eigh QRPower QRSVD SVD"
    ),
    "schedules.polynomials": "GramNewtonSchulz NewtonSchulz Turbo",
    "schedules.schedule": "Schedule exact",
    "version": "__version__",
    "vocabulary.averages": "accumulate ema eye_like momentum prev recent zeros_like",
    "vocabulary.compressors": "quantize random_k sign_compress top_k",
    "vocabulary.draws": "normal_like signs_like uniform uniform_like",
    "vocabulary.entrywise": (
        "abs clamp cos exp log maximum minimum mod reciprocal sign sqrt tanh where"
    ),
    "vocabulary.frames": (
        "dct_basis mask normal qr random_frame range_basis selection top_singular"
    ),
    "vocabulary.matrices": (
        "cholesky diag diagonal eigenbasis eigenvalues inverse matrix_power polar triu unvec vec"
    ),
    "vocabulary.ports": "Matrix",
    "vocabulary.queries": "gauss_newton_product gradient hessian hessian_product loss_at",
    "vocabulary.reductions": "block_mean inner kth_largest max mean quantile sum trace",
    "vocabulary.schedules": "cosine every inverse_sqrt linear_decay piecewise warmup wsd",
    "vocabulary.solves": "solve_linear",
    "vocabulary.statistics": "bfgs_update coupled_grams ema_in_basis fitted_hessian running_max",
    "vocabulary.steps": "lookahead start step",
}
#: The public modules.
_MODULES = {
    "algorithms": "algorithms",
    "decay": "vocabulary.decay",
    "groups": "compiler.invariance.groups",
    "plot": "plot",
    "scale": "vocabulary.scale",
    "views": "compiler.layouts.views",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted({*_HOMES, *_MODULES})


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name in _MODULES:
        value: Any = import_module(f"normdsl.{_MODULES[name]}")
    elif name in _HOMES:
        value = getattr(import_module(f"normdsl.{_HOMES[name]}"), name)
    else:
        from normdsl.near import unknown_attribute

        raise unknown_attribute("normdsl", name, __all__)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
