"""pytorch_optimizer 4.1.0, and lion-pytorch."""

from functools import partial

import lion_pytorch
import pytorch_optimizer as po
from pytorch_optimizer.optimizer.scion import LMONorm
from references.problems import CASES
from references.settings import SETTINGS

from peers import loops, variants
from peers.in_torch import JORDAN, with_betas
from peers.row import Row

S = SETTINGS
NAME = "pytorch_optimizer."
SQUARE = [case for case in CASES if case.name.endswith("square")]


def renamed(hyper, **names):
    return {names.get(k, k): v for k, v in hyper.items()}


def muon(code, **options):
    def make(params):
        return po.Muon([{"params": params, "use_muon": True}], **S["muon"], **options)

    return partial(Row, "muon", NAME + "Muon" + code, make, S["muon"], JORDAN)


def scion(rule, constraint):
    hyper = S["scion"]

    def make(params):
        return po.SCION(
            params,
            lr=hyper["lr"],
            momentum=1 - hyper["momentum"],
            scale=hyper["radius"],
            constraint=constraint,
            norm_type=LMONorm.SPECTRAL,
        )

    return Row(rule, f"{NAME}SCION(constraint={constraint})", make, hyper, JORDAN)


def shampoo(params):
    return po.Shampoo(params, lr=S["shampoo"]["lr"], matrix_eps=S["shampoo"]["eps"])


def scalable_shampoo(params):
    return po.ScalableShampoo(
        params,
        lr=S["shampoo"]["lr"],
        betas=(0.0, 0.95),
        matrix_eps=S["shampoo"]["eps"],
        start_preconditioning_step=1,
        preconditioning_compute_steps=1,
        use_svd=True,
        nesterov=False,
        shape_interpretation=False,
    )


SOAP = "ε is added before the bias correction; decay comes after the step."
UNIQUE = "On square matrices: elsewhere the first basis is not unique."
ROWS = [
    Row("lion", "lion_pytorch.Lion", with_betas(lion_pytorch.Lion, S["lion"]), S["lion"]),
    Row("lion", NAME + "Lion", with_betas(po.Lion, S["lion"]), S["lion"]),
    Row("adamw", NAME + "AdamW", with_betas(po.AdamW, S["adamw"]), S["adamw"]),
    Row("adamax", NAME + "AdaMax", with_betas(po.AdaMax, S["adamax"]), S["adamax"]),
    Row(
        "sign_sgd",
        NAME + "SignSGD(momentum=0)",
        partial(po.SignSGD, momentum=0.0, **S["sign_sgd"]),
        S["sign_sgd"],
    ),
    Row(
        "signum",
        NAME + "SignSGD",
        partial(po.SignSGD, **renamed(S["signum"], beta="momentum")),
        S["signum"],
    ),
    Row(
        "signum",
        NAME + "SignSGD(weight_decouple=False)",
        partial(po.SignSGD, weight_decouple=False, **renamed(S["signum"], beta="momentum")),
        S["signum"],
        deviation="The decay is added to the gradient, and so enters the average.",
        variant=variants.signum_with_coupled_decay,
    ),
    Row(
        "sgd_momentum",
        NAME + "SGDW",
        partial(po.SGDW, **S["sgd_momentum"]),
        S["sgd_momentum"],
        deviation="The decay is decoupled.",
        variant=variants.sgd_momentum_with_decoupled_decay,
    ),
    Row(
        "madgrad",
        NAME + "MADGRAD",
        partial(po.MADGRAD, **S["madgrad"]),
        S["madgrad"],
        deviation="The step size is lr + ε, as in the authors' code; the paper has lr.",
        variant=variants.madgrad_with_eps_in_the_step,
    ),
    muon("")(),
    muon("(use_adjusted_lr=True)", use_adjusted_lr=True)(
        deviation="The factor of the shape is 0.2 √max(m, n) instead of √max(1, m/n).",
        variant=variants.muon_matching_adam,
    ),
    scion("scion", True),
    scion("scion_unconstrained", False),
    Row("shampoo", NAME + "Shampoo", shampoo, S["shampoo"]),
    Row(
        "shampoo",
        NAME + "ScalableShampoo(use_svd=True, …)",
        scalable_shampoo,
        S["shampoo"],
        deviation="Gram matrices are averaged, not summed, and the step is rescaled to the "
        "Frobenius norm of the gradient (grafting). By default its roots are approximate and "
        "every 1000 steps old, which is not compared.",
        variant=variants.shampoo_averaged_and_grafted,
    ),
    Row(
        "soap",
        NAME + "SOAP(precondition_frequency=1000)",
        with_betas(po.SOAP, S["soap"], precondition_frequency=1000),
        S["soap"],
        deviation=SOAP + " The bases are refreshed every 1000 steps, so never.",
        variant=variants.soap_in_the_first_basis,
        cases=SQUARE,
        limits=UNIQUE,
    ),
    Row(
        "soap",
        NAME + "SOAP",
        with_betas(po.SOAP, S["soap"]),
        S["soap"],
        deviation=SOAP + " Every tenth step, after use, the bases are refreshed by one power step "
        "and QR in float32, and second moments permuted as the columns are sorted, not turned.",
        variant=loops.soap_with_power_steps,
        cases=SQUARE,
        limits=UNIQUE + " To 1e-6, for its QR.",
        tolerance=1e-6,
    ),
    Row(
        "splus",
        NAME + "SPlus(inverse_steps=1)",
        with_betas(po.SPlus, S["splus"], inverse_steps=1),
        S["splus"],
        deviation="Decay comes after the step; by default bases are refreshed every 100 steps.",
        variant=variants.splus_in_the_basis_before,
    ),
]
