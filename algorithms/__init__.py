"""Optimizers, declared: each is mathematics in at most ten lines, and nothing else.

A module here holds declarations; `normdsl list` finds them by looking.
"""

from typing import TYPE_CHECKING

from normdsl.algorithms.adagrad import adagrad, madgrad, madgrad_ema, rmsprop
from normdsl.algorithms.adam import adam, adam_sania, adamax, adamw, amsgrad
from normdsl.algorithms.cautious import cautious_adamw, cautious_lion, cautious_muon, grams
from normdsl.algorithms.clipped import agc_sgd, clipped_sgd, gradient_power_sgd
from normdsl.algorithms.distance import adagrad_norm, dadapt_adam, dog, layerwise_dog, prodigy
from normdsl.algorithms.eigenbasis import soap, splus
from normdsl.algorithms.energy import aegd, aegdm, induced_log_metric, induced_metric
from normdsl.algorithms.factored import adafactor, adam_mini, adam_subset_norm
from normdsl.algorithms.kfac import kfac
from normdsl.algorithms.mirror import exponentiated_gradient, frank_wolfe
from normdsl.algorithms.momenta import accelerated_sgd, nesterov_sgd, optimistic_sgd, qhm
from normdsl.algorithms.moments import adabelief, adadelta, adan, mars, optimistic_amsgrad, qhadam
from normdsl.algorithms.muadam import muadam, muadam_sania, polyak_muadam_sania, rmsspectral
from normdsl.algorithms.muon import affine_muon, muon, scion, scion_unconstrained
from normdsl.algorithms.muon_family import adamuon, auon, normuon, turbo_muon
from normdsl.algorithms.muon_steps import (
    adago,
    gluon,
    muonmax,
    muonmax_momo,
    namo,
    polargrad,
    trust_region_muon,
)
from normdsl.algorithms.polyak import (
    adagrad_sqr,
    adam_sqr,
    alr_hb,
    alr_smag,
    momo,
    momo_adam,
    polyak_sgd,
    sps_max,
    sps_smoothed,
)
from normdsl.algorithms.sgd import normalized_sgd, sgd, sgd_momentum
from normdsl.algorithms.shampoo import kl_shampoo, one_sided_shampoo, shampoo
from normdsl.algorithms.sign import lion, sign_sgd, signum
from normdsl.algorithms.trust import lamb, lars
from normdsl.algorithms.whitening import psgd_kron
from normdsl.near import module_getattr

__all__ = [
    "accelerated_sgd",
    "adabelief",
    "adadelta",
    "adafactor",
    "adago",
    "adagrad",
    "adagrad_norm",
    "adagrad_sqr",
    "adam",
    "adam_mini",
    "adam_sania",
    "adam_sqr",
    "adam_subset_norm",
    "adamax",
    "adamuon",
    "adamw",
    "adan",
    "aegd",
    "aegdm",
    "affine_muon",
    "agc_sgd",
    "alr_hb",
    "alr_smag",
    "amsgrad",
    "auon",
    "cautious_adamw",
    "cautious_lion",
    "cautious_muon",
    "clipped_sgd",
    "dadapt_adam",
    "dog",
    "exponentiated_gradient",
    "frank_wolfe",
    "gluon",
    "gradient_power_sgd",
    "grams",
    "induced_log_metric",
    "induced_metric",
    "kfac",
    "kl_shampoo",
    "lamb",
    "lars",
    "layerwise_dog",
    "lion",
    "madgrad",
    "madgrad_ema",
    "mars",
    "momo",
    "momo_adam",
    "muadam",
    "muadam_sania",
    "muon",
    "muonmax",
    "muonmax_momo",
    "namo",
    "nesterov_sgd",
    "normalized_sgd",
    "normuon",
    "one_sided_shampoo",
    "optimistic_amsgrad",
    "optimistic_sgd",
    "polargrad",
    "polyak_muadam_sania",
    "polyak_sgd",
    "prodigy",
    "psgd_kron",
    "qhadam",
    "qhm",
    "rmsprop",
    "rmsspectral",
    "scion",
    "scion_unconstrained",
    "sgd",
    "sgd_momentum",
    "shampoo",
    "sign_sgd",
    "signum",
    "soap",
    "splus",
    "sps_max",
    "sps_smoothed",
    "trust_region_muon",
    "turbo_muon",
]

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__ = module_getattr("nd.algorithms", __all__)
