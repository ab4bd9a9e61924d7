"""torch.optim: equal to our rules, or made so by one option."""

from functools import partial

import torch
from references.settings import SETTINGS

import normdsl as nd
from peers import variants
from peers.row import Row

JORDAN = nd.Schedule(polar=nd.jordan(), dtype="float64")


def with_betas(cls, hyper, **extra):
    """The class, made of our hyper-parameters: beta1 and beta2 are its betas."""
    hyper = dict(hyper)
    betas = (hyper.pop("beta1"), hyper.pop("beta2"))
    return partial(cls, betas=betas, **hyper, **extra)


def plain(rule, cls):
    hyper = SETTINGS[rule]
    return Row(rule, f"torch.optim.{cls.__name__}", partial(cls, **hyper), hyper)


def adam_like(rule, cls, code="", **extra):
    hyper = SETTINGS[rule]
    code = f"torch.optim.{cls.__name__}{code}"
    return Row(rule, code, with_betas(cls, hyper, **extra), hyper)


def muon(code, options, **row):
    make = partial(torch.optim.Muon, **SETTINGS["muon"], **options)
    return Row("muon", f"torch.optim.Muon{code}", make, SETTINGS["muon"], JORDAN, **row)


ROWS = [
    plain("sgd", torch.optim.SGD),
    plain("sgd_momentum", torch.optim.SGD),
    adam_like("adam", torch.optim.Adam),
    adam_like("adamw", torch.optim.AdamW),
    adam_like("amsgrad", torch.optim.Adam, "(amsgrad=True)", amsgrad=True),
    adam_like("adamax", torch.optim.Adamax),
    plain("rmsprop", torch.optim.RMSprop),
    plain("adagrad", torch.optim.Adagrad),
    muon("", {}),
    muon(
        '(adjust_lr_fn="match_rms_adamw")',
        {"adjust_lr_fn": "match_rms_adamw"},
        deviation="The factor of the shape is 0.2 √max(m, n) instead of √max(1, m/n).",
        variant=variants.muon_matching_adam,
    ),
]
