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


def nesterov(params):
    return torch.optim.SGD(params, nesterov=True, **SETTINGS["nesterov_sgd"])


#: It refuses to cut below a root mean square of 1.
ADAFACTOR = {**SETTINGS["adafactor"], "limit": 1.1}


def adafactor(params):
    h = dict(ADAFACTOR)
    eps = h.pop("eps1") ** 0.5, h.pop("eps2")
    decay, d = -h.pop("power"), h.pop("limit")
    return torch.optim.Adafactor(params, beta2_decay=decay, eps=eps, d=d, **h)


def clipped(params):
    h = SETTINGS["clipped_sgd"]
    opt = torch.optim.SGD(params, lr=h["lr"])
    cut = torch.nn.utils.clip_grad_norm_
    opt.register_step_pre_hook(lambda *_: cut(params, h["limit"]) and None)
    return opt


ROWS = [
    plain("sgd", torch.optim.SGD),
    plain("sgd_momentum", torch.optim.SGD),
    adam_like("adam", torch.optim.Adam),
    adam_like("adamw", torch.optim.AdamW),
    adam_like("amsgrad", torch.optim.Adam, "(amsgrad=True)", amsgrad=True),
    adam_like("adamax", torch.optim.Adamax),
    plain("rmsprop", torch.optim.RMSprop),
    plain("adagrad", torch.optim.Adagrad),
    plain("adadelta", torch.optim.Adadelta),
    Row("nesterov_sgd", "torch.optim.SGD(nesterov=True)", nesterov, SETTINGS["nesterov_sgd"]),
    Row(
        "adafactor",
        "torch.optim.Adafactor",
        adafactor,
        ADAFACTOR,
        deviation="ε₁ is a floor of the mean of r (its root) and of the moments, not added to G².",
        variant=variants.adafactor_with_floors,
    ),
    Row(
        "clipped_sgd",
        "torch.nn.utils.clip_grad_norm_, torch.optim.SGD",
        clipped,
        SETTINGS["clipped_sgd"],
        limits="To 1e-5: it adds 1e-6 to the norm.",
        tolerance=1e-5,
    ),
    muon("", {}),
    muon(
        '(adjust_lr_fn="match_rms_adamw")',
        {"adjust_lr_fn": "match_rms_adamw"},
        deviation="The factor of the shape is 0.2 √max(m, n) instead of √max(1, m/n).",
        variant=variants.muon_matching_adam,
    ),
]
