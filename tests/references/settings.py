"""Hyper-parameters of the comparisons: every one is set, none to its default, none to a no-op."""

MOMENTS = {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3}
DECAY = {"weight_decay": 0.1}
SCION = {"lr": 0.004, "momentum": 0.8, "radius": 5.0}
KL = {"lr": 0.004, "beta1": 0.8, "beta2": 0.95, "start": 0.5}

SETTINGS = {
    "sgd": {"lr": 0.02, **DECAY},
    "sgd_momentum": {"lr": 0.01, "momentum": 0.8, **DECAY},
    "normalized_sgd": {"lr": 0.02, "beta": 0.8},
    "sign_sgd": {"lr": 0.02},
    "signum": {"lr": 0.02, "beta": 0.8, **DECAY},
    "lion": {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, **DECAY},
    "adam": MOMENTS,
    "adamw": {**MOMENTS, **DECAY},
    "amsgrad": MOMENTS,
    "adamax": MOMENTS,
    "rmsprop": {"lr": 0.02, "alpha": 0.9, "eps": 1e-3},
    "adagrad": {"lr": 0.05, "eps": 1e-3},
    "adam_sania": {**MOMENTS, **DECAY},
    "madgrad": {"lr": 0.02, "momentum": 0.8, "eps": 1e-3},
    "madgrad_ema": MOMENTS,
    "muon": {"lr": 0.03, "momentum": 0.9, **DECAY},
    "scion": SCION,
    "scion_unconstrained": SCION,
    "shampoo": {"lr": 0.05, "eps": 1e-3},
    "one_sided_shampoo": {"lr": 0.05, "beta": 0.8, "eps": 1e-3},
    "kl_shampoo": {**KL, **DECAY},
    "soap": {**MOMENTS, "beta2": 0.9, **DECAY},
    "splus": {"lr": 0.05, "beta1": 0.8, "beta2": 0.95, **DECAY},
    "muadam": {**MOMENTS, **DECAY},
    "muadam_sania": {**MOMENTS, **DECAY},
    "rmsspectral": {"lr": 0.01, "alpha": 0.9, "eps": 1e-3},
    "affine_muon": KL,
    "polyak_muadam_sania": {"lr": 0.5, "beta1": 0.8, "beta2": 0.95, "floor": -0.1},
}
