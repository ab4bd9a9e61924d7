"""Optimizers, declared: each is mathematics in at most ten lines, and nothing else.

A module here holds the declarations of a family; `normdsl list` finds them by looking, and shows
them by what the module's description begins with.
"""

from typing import TYPE_CHECKING

from normdsl.algorithms.adagrad import adagrad, madgrad, madgrad_ema, rmsprop
from normdsl.algorithms.adam import adam, adam_sania, adamax, adamw, amsgrad
from normdsl.algorithms.adapters import bernoulli_lora, oplora, svd_lora, weight_lora
from normdsl.algorithms.averaged import (
    averaged_sgd,
    lookahead_adamw,
    lookahead_sgd,
    schedule_free_adamw,
    schedule_free_sgd,
)
from normdsl.algorithms.cautious import cautious_adamw, cautious_lion, cautious_muon, grams
from normdsl.algorithms.clipped import agc_sgd, clipped_sgd, gradient_power_sgd
from normdsl.algorithms.curvature import (
    adahessian,
    aicn,
    cubic_newton,
    exact_newton,
    gauss_newton_cg,
    gns_newton,
    newton_cg,
    oasis,
    polynomial_preconditioning,
    saddle_free_newton,
    sophia,
    sophia_g,
)
from normdsl.algorithms.distance import (
    adagrad_norm,
    dadapt_adam,
    dog,
    layerwise_dog,
    prodigy,
    u_dog,
)
from normdsl.algorithms.eigenbasis import soap, splus
from normdsl.algorithms.energy import aegd, aegdm, induced_log_metric, induced_metric
from normdsl.algorithms.estimators import (
    clipped_hessian_momentum,
    hessian_momentum,
    mars_exact,
    nigt,
    page_sgd,
    randomized_hessian_momentum,
    sarah,
    storm,
)
from normdsl.algorithms.factored import adafactor, adam_mini, adam_subset_norm
from normdsl.algorithms.fisher import mfac
from normdsl.algorithms.full_matrix import full_matrix_adagrad, natural_gradient
from normdsl.algorithms.kfac import kfac
from normdsl.algorithms.low_rank import (
    dct_adamw,
    dion,
    dion2,
    drop_muon,
    drop_muon_suffix,
    galore,
    online_subspace_descent,
    power_sgd,
    subspace_momentum,
    trion,
)
from normdsl.algorithms.mirror import exponentiated_gradient, frank_wolfe
from normdsl.algorithms.momenta import accelerated_sgd, nesterov_sgd, optimistic_sgd, qhm
from normdsl.algorithms.moments import adabelief, adadelta, adan, mars, optimistic_amsgrad, qhadam
from normdsl.algorithms.muadam import (
    bounded_muadam_sania,
    bounded_polyak_muadam_sania,
    muadam,
    muadam_sania,
    polyak_muadam_sania,
    rmsspectral,
)
from normdsl.algorithms.muon import affine_muon, muon, scion, scion_unconstrained
from normdsl.algorithms.muon_family import (
    adamuon,
    auon,
    hybrid_auon,
    inexact_muon,
    normuon,
    root_muon,
    turbo_muon,
)
from normdsl.algorithms.muon_steps import (
    adago,
    gluon,
    muonmax,
    muonmax_momo,
    namo,
    polargrad,
    trust_region_muon,
)
from normdsl.algorithms.noisy import dp_sgd, random_scaling
from normdsl.algorithms.pairs import (
    alternating_scaled_gd,
    lora_muon,
    lora_rite,
    scaled_adamw,
    scaled_gd,
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
from normdsl.algorithms.quasi_newton import bfgs, ceqn, online_bfgs
from normdsl.algorithms.sgd import normalized_sgd, sgd, sgd_momentum
from normdsl.algorithms.shampoo import kl_shampoo, one_sided_shampoo, shampoo
from normdsl.algorithms.sharpness import (
    extragradient,
    gradient_regularization,
    sam,
    smb,
    smbi,
    twin_polyak,
)
from normdsl.algorithms.sign import lion, sign_sgd, signum
from normdsl.algorithms.trust import lamb, lars
from normdsl.algorithms.whitening import psgd_dense, psgd_kron, psgd_triangular
from normdsl.algorithms.workers import (
    des_loc,
    diana,
    diloco,
    ef21,
    ef21_muon,
    ef21_sgdm,
    error_feedback,
    local_sgd,
    marina,
    mt_dao,
    muloco,
    normalized_ef21,
)
from normdsl.algorithms.zeroth_order import jaguar_frank_wolfe, jaguar_muon, jaguar_sign
from normdsl.near import module_face

__all__ = [  # noqa: RUF022 (by family)
    # sgd
    "sgd",
    "sgd_momentum",
    "normalized_sgd",
    # momenta
    "nesterov_sgd",
    "qhm",
    "accelerated_sgd",
    "optimistic_sgd",
    # clipped
    "clipped_sgd",
    "agc_sgd",
    "gradient_power_sgd",
    # mirror
    "exponentiated_gradient",
    "frank_wolfe",
    # noisy
    "dp_sgd",
    "random_scaling",
    # zeroth_order
    "jaguar_sign",
    "jaguar_muon",
    "jaguar_frank_wolfe",
    # sign
    "sign_sgd",
    "signum",
    "lion",
    # cautious
    "cautious_adamw",
    "cautious_lion",
    "cautious_muon",
    "grams",
    # adagrad
    "adagrad",
    "rmsprop",
    "madgrad",
    "madgrad_ema",
    # adam
    "adam",
    "adamw",
    "adam_sania",
    "amsgrad",
    "adamax",
    # moments
    "adabelief",
    "adan",
    "mars",
    "adadelta",
    "qhadam",
    "optimistic_amsgrad",
    # factored
    "adafactor",
    "adam_mini",
    "adam_subset_norm",
    # trust
    "lamb",
    "lars",
    # distance
    "adagrad_norm",
    "dog",
    "layerwise_dog",
    "prodigy",
    "dadapt_adam",
    "u_dog",
    # polyak
    "polyak_sgd",
    "sps_max",
    "sps_smoothed",
    "alr_smag",
    "alr_hb",
    "momo",
    "momo_adam",
    "adam_sqr",
    "adagrad_sqr",
    # energy
    "aegd",
    "aegdm",
    "induced_metric",
    "induced_log_metric",
    # muon
    "muon",
    "scion",
    "scion_unconstrained",
    "affine_muon",
    # muon_family
    "adamuon",
    "normuon",
    "turbo_muon",
    "auon",
    "hybrid_auon",
    "inexact_muon",
    "root_muon",
    # muon_steps
    "adago",
    "namo",
    "gluon",
    "polargrad",
    "muonmax",
    "muonmax_momo",
    "trust_region_muon",
    # muadam
    "muadam",
    "muadam_sania",
    "bounded_muadam_sania",
    "bounded_polyak_muadam_sania",
    "rmsspectral",
    "polyak_muadam_sania",
    # eigenbasis
    "soap",
    "splus",
    # shampoo
    "one_sided_shampoo",
    "shampoo",
    "kl_shampoo",
    # whitening
    "psgd_kron",
    "psgd_triangular",
    "psgd_dense",
    # full_matrix
    "full_matrix_adagrad",
    "natural_gradient",
    # quasi_newton
    "bfgs",
    "online_bfgs",
    "ceqn",
    # kfac
    "kfac",
    # fisher
    "mfac",
    # averaged
    "averaged_sgd",
    "lookahead_adamw",
    "lookahead_sgd",
    "schedule_free_adamw",
    "schedule_free_sgd",
    # curvature
    "adahessian",
    "sophia",
    "sophia_g",
    "oasis",
    "exact_newton",
    "newton_cg",
    "gauss_newton_cg",
    "aicn",
    "gns_newton",
    "saddle_free_newton",
    "cubic_newton",
    "polynomial_preconditioning",
    # estimators
    "clipped_hessian_momentum",
    "hessian_momentum",
    "mars_exact",
    "nigt",
    "page_sgd",
    "randomized_hessian_momentum",
    "sarah",
    "storm",
    # adapters
    "bernoulli_lora",
    "oplora",
    "svd_lora",
    "weight_lora",
    # low_rank
    "dct_adamw",
    "dion",
    "dion2",
    "drop_muon",
    "drop_muon_suffix",
    "galore",
    "online_subspace_descent",
    "power_sgd",
    "subspace_momentum",
    "trion",
    # pairs
    "alternating_scaled_gd",
    "lora_muon",
    "lora_rite",
    "scaled_adamw",
    "scaled_gd",
    # workers
    "local_sgd",
    "des_loc",
    "mt_dao",
    "diloco",
    "muloco",
    "error_feedback",
    "ef21",
    "ef21_sgdm",
    "normalized_ef21",
    "ef21_muon",
    "diana",
    "marina",
    # sharpness
    "extragradient",
    "gradient_regularization",
    "sam",
    "smb",
    "smbi",
    "twin_polyak",
]

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face("nd.algorithms", __all__)
