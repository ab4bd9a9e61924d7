"""heavyball 3.2.1, not compiled, its states stored in float64."""

from functools import partial

import heavyball as hb
from references.problems import CASES

import normdsl as nd
from peers import variants
from peers.in_pytorch_optimizer import SQUARE, UNIQUE
from peers.in_torch import with_betas
from peers.row import Row

#: Numbers that float32 has: it rounds hyper-parameters to float32.
RATES = {"lr": 2**-6, "beta1": 0.75, "beta2": 0.9375, "eps": 2**-10}
DECAY = {"weight_decay": 0.125}
SGD = {"lr": 2**-6, "momentum": 0.75, "weight_decay": 0.0}
MUON = {"lr": 2**-6, "momentum": 0.75, **DECAY}
RMSPROP = {"lr": 2**-6, "alpha": 0.9375, "eps": 2**-10}
SCION = {"lr": 2**-8, "momentum": 0.75, "radius": 5.0}
KL = {"lr": 2**-8, "beta1": 0.75, "beta2": 0.9375, "start": 0.5, **DECAY}
SOAP = {**RATES, **DECAY}
MATRICES = [case for case in CASES if min(case.start.shape) > 1]
#: The five steps of its Newton–Schulz iteration.
QUINTIC = nd.Schedule(
    polar=nd.NewtonSchulz(
        (
            (4.0848, -6.8946, 2.9270),
            (3.9505, -6.3029, 2.6377),
            (3.7418, -5.5913, 2.3037),
            (2.8769, -3.1427, 1.2046),
            (2.8366, -3.0525, 1.2012),
        )
    ),
    dtype="float64",
)
WIDE = {"storage_dtype": "float64"}


def muon(code, **options):
    hyper = MUON

    def make(params):
        betas = (hyper["momentum"], 0.99)
        decay = hyper["weight_decay"]
        return hb.Muon(params, hyper["lr"], betas, weight_decay=decay, **WIDE, **options)

    return partial(Row, "muon", "heavyball.Muon" + code, make, hyper, QUINTIC)


def rmsprop(params):
    h = RMSPROP
    return hb.RMSprop(params, h["lr"], betas=(0.9, h["alpha"]), eps=h["eps"], **WIDE)


def scion(params):
    h = SCION
    return hb.Scion(params, h["lr"], betas=(h["momentum"], 0.99), scale=h["radius"], **WIDE)


def scion_start(start):
    start = start.clone()
    hb.utils.scion_auto_init_param_(start, SCION["radius"])
    return start


def soap(params):
    h = SOAP
    return hb.SOAP(
        params,
        h["lr"],
        betas=(h["beta1"], h["beta2"]),
        eps=h["eps"],
        weight_decay=h["weight_decay"],
        precondition_frequency=1000,
        **WIDE,
    )


def kl_shampoo(params):
    h = KL
    return hb.KLShampoo(
        params,
        h["lr"],
        betas=(h["beta1"], 0.95),
        shampoo_beta=h["beta2"],
        weight_decay=h["weight_decay"],
        init_factor=h["start"],
        **WIDE,
    )


FLOOR = "ε is a floor of the root, max(√v̂, ε), not added to it"
ROUNDED = "To 1e-7: it computes 1 − β^t in float32."
ROWS = [
    Row(
        "sgd_momentum",
        "heavyball.SGD(weight_decay=0)",
        partial(hb.SGD, lr=2**-6, beta=0.75, **WIDE),
        SGD,
    ),
    Row(
        "adam",
        "heavyball.AdamW(weight_decay=0)",
        with_betas(hb.AdamW, RATES, **WIDE),
        RATES,
        deviation=FLOOR + ".",
        variant=variants.adam_with_floor,
    ),
    Row(
        "rmsprop",
        "heavyball.RMSprop",
        rmsprop,
        RMSPROP,
        deviation="v is divided by 1 − α^t; " + FLOOR + ".",
        variant=variants.rmsprop_corrected_with_floor,
        limits=ROUNDED,
        tolerance=1e-7,
    ),
    muon("(heavyball_momentum=True)", heavyball_momentum=True)(),
    muon("")(
        deviation="Its Nesterov direction is G + m, without the factors 1 − μ and μ.",
        variant=variants.muon_with_whole_gradient,
    ),
    Row(
        "scion_unconstrained",
        "heavyball.Scion",
        scion,
        SCION,
        QUINTIC,
        deviation="The first step overwrites the weights by a random point of the sphere.",
        variant=variants.scion_by_own_start,
        begin=scion_start,
        limits=ROUNDED,
        tolerance=1e-7,
    ),
    Row(
        "soap",
        "heavyball.SOAP(precondition_frequency=1000)",
        soap,
        SOAP,
        deviation="The bases are never refreshed with this frequency; "
        + FLOOR
        + ". By default the "
        "bases are refreshed every second step, after use, which is not compared.",
        variant=variants.soap_in_the_first_basis_with_floor,
        cases=SQUARE,
        limits=UNIQUE,
    ),
    Row(
        "kl_shampoo",
        "heavyball.KLShampoo",
        kl_shampoo,
        KL,
        deviation="Sides of length 1 have no factor; the first gradient is dropped; a step is "
        "taken by the factors of the step before, at first start · I; then factors are balanced "
        "and bases refreshed by QR.",
        variant=variants.kl_shampoo_from_its_start,
        cases=MATRICES,
        limits="On matrices, over two steps: later ones depend on its QR iteration.",
        steps=2,
    ),
]
