"""Optimizers, declared: each is mathematics in at most ten lines, and nothing else.

A module here holds declarations; `normdsl list` finds them by looking.
"""

from normdsl.algorithms.adam import adam, adam_sania, adamw
from normdsl.algorithms.kfac import kfac
from normdsl.algorithms.muadam import muadam, muadam_sania
from normdsl.algorithms.muon import muon
from normdsl.algorithms.sgd import normalized_sgd, sgd, sgd_momentum
from normdsl.algorithms.shampoo import one_sided_shampoo
from normdsl.algorithms.sign import sign_sgd, signum

__all__ = [
    "adam",
    "adam_sania",
    "adamw",
    "kfac",
    "muadam",
    "muadam_sania",
    "muon",
    "normalized_sgd",
    "one_sided_shampoo",
    "sgd",
    "sgd_momentum",
    "sign_sgd",
    "signum",
]
