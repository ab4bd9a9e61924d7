"""pytorch_optimizer 4.1.0, and lion-pytorch."""

from functools import partial

import lion_pytorch
import pytorch_optimizer as po
import torch
from pytorch_optimizer.optimizer.agc import agc
from pytorch_optimizer.optimizer.scion import LMONorm
from references.problems import CASES
from references.settings import SETTINGS

import normdsl as nd
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


def galore(params):
    hyper = S["galore"]
    projected = {"rank": hyper["rank"], "scale": hyper["scale"], "update_proj_gap": 1000}
    return po.GaLore(
        [{"params": params, "projection_type": "left", **projected}],
        lr=hyper["lr"],
        betas=(hyper["beta1"], hyper["beta2"]),
        eps=hyper["eps"],
        weight_decay=hyper["weight_decay"],
    )


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


def polar_rule(rule, code, options, hyper=None, **row):
    """A relative of Muon, with the polynomial of Muon codes on both sides."""

    def make(params):
        cls = getattr(po, code.partition("(")[0])
        return cls([{"params": params, "use_muon": True}], **options)

    return Row(rule, NAME + code, make, hyper or S[rule], JORDAN, **row)


def adan(params):
    h = dict(S["adan"])
    betas = (h.pop("beta1"), h.pop("beta2"), h.pop("beta3"))
    return po.Adan(params, betas=betas, **h)


def lars(params):
    h = renamed(LARS, trust="trust_coefficient")
    return po.LARS(params, **{k: v for k, v in h.items() if k != "floor"})


def lamb(params):
    h = {k: v for k, v in S["lamb"].items() if k != "floor"}
    return with_betas(po.Lamb, h)(params)


def qhadam(params):
    h = dict(S["qhadam"])
    return with_betas(po.QHAdam, h, nus=(h.pop("nu"), 1.0))(params)


def by_rows(params):
    """AdamWSN with one subset for each row."""
    h = S["adam_subset_norm"]
    group = {"params": params, "sn": True, "subset_size": params[0].shape[1]}
    return with_betas(po.AdamWSN, h)([group])


def agc_sgd(params):
    h = S["agc_sgd"]
    opt = torch.optim.SGD(params, lr=h["lr"], momentum=h["momentum"])

    def clip(*_):
        for p in params:
            p.grad = agc(p, p.grad, h["eps"], h["limit"])

    opt.register_step_pre_hook(clip)
    return opt


def lookahead_sgd(params):
    h = S["lookahead_sgd"]
    fast = torch.optim.SGD(params, lr=h["lr"], momentum=h["momentum"])
    return po.Lookahead(fast, k=h["k"], alpha=h["alpha"])


def lookahead_adamw(params):
    h = dict(S["lookahead_adamw"])
    k, alpha = h.pop("k"), h.pop("alpha")
    return po.Lookahead(with_betas(torch.optim.AdamW, h)(params), k=k, alpha=alpha)


LARS = {**S["lars"], "floor": 1e-9}
#: It adds ε to a norm as well.
NORMUON = {**S["normuon"], "eps": 1e-12}
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
        "galore",
        NAME + "GaLore(projection_type=left, update_proj_gap=1000)",
        galore,
        S["galore"],
        nd.Schedule(refresh=1000),
        deviation="ε is added before the bias correction; decay comes after the step. By default "
        "the shorter side is projected, and averages stay as they are when the basis changes.",
        variant=variants.galore_with_eps_first_and_decay_last,
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
    Row(
        "sam",
        NAME + "SAM(SGD)",
        partial(po.SAM, base_optimizer=torch.optim.SGD, **S["sam"]),
        S["sam"],
        tolerance=1e-8,
        limits="To 1e-8, for the 1e-12 that it adds to the norm.",
    ),
    Row(
        "schedule_free_sgd",
        NAME + "ScheduleFreeSGD",
        partial(po.ScheduleFreeSGD, **renamed(S["schedule_free_sgd"], beta="momentum")),
        S["schedule_free_sgd"],
    ),
    Row(
        "schedule_free_adamw",
        NAME + "ScheduleFreeAdamW",
        with_betas(po.ScheduleFreeAdamW, S["schedule_free_adamw"]),
        S["schedule_free_adamw"],
    ),
    Row("lookahead_sgd", NAME + "Lookahead(torch.optim.SGD)", lookahead_sgd, S["lookahead_sgd"]),
    Row(
        "lookahead_adamw",
        NAME + "Lookahead(torch.optim.AdamW)",
        lookahead_adamw,
        S["lookahead_adamw"],
    ),
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
        with_betas(po.SPlus, renamed(S["splus"], average="ema_rate"), inverse_steps=1),
        S["splus"],
        deviation="Decay comes after the step; by default bases are refreshed every 100 steps.",
        variant=variants.splus_in_the_basis_before,
    ),
    Row(
        "cautious_lion",
        NAME + "Lion(cautious=True)",
        with_betas(po.Lion, S["cautious_lion"], cautious=True),
        S["cautious_lion"],
    ),
    polar_rule(
        "cautious_muon",
        "Muon(cautious=True)",
        {**S["cautious_muon"], "cautious": True},
        deviation="The mask is by the sign of Nesterov's form, with which it overwrites G.",
        variant=variants.cautious_muon_by_its_momentum,
    ),
    Row("grams", NAME + "Grams", with_betas(po.Grams, S["grams"]), S["grams"]),
    Row("lars", NAME + "LARS", lars, LARS),
    Row(
        "lamb",
        NAME + "Lamb",
        lamb,
        S["lamb"],
        deviation="Decay is decoupled, and before the ratio is formed; v is not corrected; ‖W‖ is "
        "at most 10; ε is added to the norm below it.",
        variant=variants.lamb_decayed_apart,
    ),
    Row("adabelief", NAME + "AdaBelief", with_betas(po.AdaBelief, S["adabelief"]), S["adabelief"]),
    Row("adan", NAME + "Adan", adan, S["adan"]),
    Row("mars", NAME + "MARS", with_betas(po.MARS, S["mars"]), S["mars"]),
    Row(
        "qhadam",
        NAME + "QHAdam",
        qhadam,
        S["qhadam"],
        limits="To 1e-6: it counts weights in float32.",
        tolerance=1e-6,
    ),
    Row("qhm", NAME + "QHM", partial(po.QHM, **renamed(S["qhm"], beta="momentum")), S["qhm"]),
    Row(
        "accelerated_sgd",
        NAME + "AccSGD",
        partial(po.AccSGD, **renamed(S["accelerated_sgd"], small="constant")),
        S["accelerated_sgd"],
    ),
    Row("agc_sgd", NAME + "agc, torch.optim.SGD", agc_sgd, S["agc_sgd"]),
    Row(
        "adam_subset_norm",
        NAME + "AdamWSN(subset_size=n)",
        by_rows,
        S["adam_subset_norm"],
        cases=[case for case in CASES if case.start.shape[0] >= case.start.shape[1]],
        limits="Where m ≥ n: its subsets are chunks of the flattened matrix.",
    ),
    polar_rule("normuon", "NorMuon", NORMUON, NORMUON),
    Row(
        "prodigy",
        NAME + "Prodigy",
        with_betas(po.Prodigy, renamed(S["prodigy"], start="d0")),
        S["prodigy"],
        limits="To 1e-5: it adds up r and ‖s‖₁ in float32.",
        tolerance=1e-5,
    ),
    Row(
        "dadapt_adam",
        NAME + "DAdaptAdam",
        with_betas(po.DAdaptAdam, renamed(S["dadapt_adam"], start="d0"), weight_decouple=True),
        S["dadapt_adam"],
        limits="To 1e-5: it adds up r and ‖s‖₁ in float32.",
        tolerance=1e-5,
    ),
    polar_rule(
        "adago",
        "AdaGO",
        renamed(S["adago"], limit="gamma", start="v", least="eps"),
        deviation="The step is divided by v², not by its root, which starts from v₀, not v₀².",
        variant=variants.adago_by_squares,
    ),
    polar_rule(
        "adamuon",
        "AdaMuon",
        {
            "lr": S["adamuon"]["lr"],
            "betas": (S["adamuon"]["momentum"], 0.95),
            "eps": S["adamuon"]["eps"],
            "weight_decay": S["adamuon"]["weight_decay"],
        },
        deviation="Neither sign nor Nesterov's form; v has a rate of its own and is corrected; the "
        "length is 0.2 √max(m, n) √min(m, n).",
        variant=variants.adamuon_of_the_momentum,
    ),
]
