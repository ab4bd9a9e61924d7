"""Optimizers, declared: each is mathematics in at most ten lines, and nothing else.

A module here holds declarations; `normdsl list` finds them by looking.
"""

from typing import TYPE_CHECKING

from normdsl.algorithms.adagrad import adagrad, madgrad, madgrad_ema, rmsprop
from normdsl.algorithms.adam import adam, adam_sania, adamax, adamw, amsgrad
from normdsl.algorithms.eigenbasis import soap, splus
from normdsl.algorithms.kfac import kfac
from normdsl.algorithms.muadam import muadam, muadam_sania, polyak_muadam_sania, rmsspectral
from normdsl.algorithms.muon import affine_muon, muon, scion, scion_unconstrained
from normdsl.algorithms.sgd import normalized_sgd, sgd, sgd_momentum
from normdsl.algorithms.shampoo import kl_shampoo, one_sided_shampoo, shampoo
from normdsl.algorithms.sign import lion, sign_sgd, signum
from normdsl.near import module_getattr

__all__ = [
    "adagrad",
    "adam",
    "adam_sania",
    "adamax",
    "adamw",
    "affine_muon",
    "amsgrad",
    "kfac",
    "kl_shampoo",
    "lion",
    "madgrad",
    "madgrad_ema",
    "muadam",
    "muadam_sania",
    "muon",
    "normalized_sgd",
    "one_sided_shampoo",
    "polyak_muadam_sania",
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
]

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__ = module_getattr("nd.algorithms", __all__)
