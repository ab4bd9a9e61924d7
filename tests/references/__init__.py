"""Literal float64 loops of the papers' formulas: what every shipped rule is compared with.

A loop is `rule(w, g, t, state, *, loss=None, **hyper)` and returns the new weights; it keeps what
it remembers in `state`, a dict that starts empty, and t counts from 1. Keywords and their defaults
are those of the declaration of the same name. Nothing here imports normdsl.
"""

from references import adaptive, descent, hybrid, madgrad, muon, shampoo, soap

RULES = [
    descent.sgd,
    descent.sgd_momentum,
    descent.normalized_sgd,
    descent.sign_sgd,
    descent.signum,
    descent.lion,
    adaptive.adam,
    adaptive.adamw,
    adaptive.amsgrad,
    adaptive.adamax,
    adaptive.rmsprop,
    adaptive.adagrad,
    adaptive.adam_sania,
    madgrad.madgrad,
    madgrad.madgrad_ema,
    muon.muon,
    muon.scion,
    muon.scion_unconstrained,
    shampoo.shampoo,
    shampoo.one_sided_shampoo,
    shampoo.kl_shampoo,
    soap.soap,
    soap.splus,
    hybrid.muadam,
    hybrid.muadam_sania,
    hybrid.rmsspectral,
    hybrid.affine_muon,
    hybrid.polyak_muadam_sania,
]
REFERENCES = {rule.__name__: rule for rule in RULES}
