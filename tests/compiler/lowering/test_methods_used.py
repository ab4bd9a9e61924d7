"""Chosen: the lines of every rule, what takes the place of a method, and the emitted calls."""

import re

import attrs
import pytest
import torch
from taking_turns import in_turn

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.kernels import hopper
from normdsl.compiler.lowering.choices import Spot
from normdsl.compiler.lowering.methods_used import choices, kernels
from normdsl.compiler.lowering.program import lower

RULES = in_turn(1)
PLAIN = attrs.evolve(nd.exact, dtype=None)
FAST = nd.Schedule(
    polar=nd.quintic("bfloat16").on_gram(),
    root=nd.CoupledNewton(9),
    eigenbasis=nd.QRPower(),
    refresh=10,
)
TOP = "leading singular vectors: SVD"
SVD = "polar: SVD()"
GRAM = "polar: GramNewtonSchulz(5 steps, dtype=bfloat16, restart=2)"
NEWTON = "CoupledNewton(steps=9), every 10 steps"
QR = "eigenbasis: QRPower(), every 10 steps, the first by Eigh()"
ROOT_AND_INVERSE = (
    "power ½: Eigh(), every 10 steps, since CoupledNewton(steps=9) does not take this exponent",
    f"power −1: {NEWTON}",
)
#: Lines under the two schedules; all other rules are entrywise.
LINES = {
    "affine_muon": (
        ("power −1: Eigh()", "power −½: Eigh()", SVD),
        (f"power −1: {NEWTON}", f"power −½: {NEWTON}", GRAM),
    ),
    "dct_adamw": (("matrix products",),) * 2,
    "oplora": (("orthonormal columns: QR",),) * 2,
    "svd_lora": ((TOP,), (f"{TOP}, every 10 steps",)),
    "exact_newton": (("inverse: SVD",),) * 2,
    "bernoulli_lora": (("orthonormal columns: QR",),) * 2,
    "dion": (("orthonormal columns: QR",),) * 2,
    "galore": ((TOP,), (f"{TOP}, every 10 steps",)),
    "kfac": (("power −1: Eigh()",), (f"power −1: {NEWTON}",)),
    "kl_shampoo": (
        ("power −1: Eigh()", "power −½: Eigh()"),
        (f"power −1: {NEWTON}", f"power −½: {NEWTON}"),
    ),
    "one_sided_shampoo": (("power −½: Eigh()",), (f"power −½: {NEWTON}",)),
    "hybrid_auon": (("matrix products",),) * 2,
    "inexact_muon": (("matrix products",),) * 2,
    "online_subspace_descent": (("matrix products",),) * 2,
    "power_sgd": (("orthonormal columns: QR",),) * 2,
    "psgd_kron": (
        ("power ½: Eigh()", "singular values: SVD"),
        (ROOT_AND_INVERSE[0], "singular values: SVD"),
    ),
    "psgd_triangular": (
        ("inverse: SVD", "eigenvalues: Eigvalsh"),
        ("inverse: SVD, every 10 steps", "eigenvalues: Eigvalsh, every 10 steps"),
    ),
    "psgd_dense": (
        ("inverse: SVD", "eigenvalues: Eigvalsh"),
        ("inverse: SVD, every 10 steps", "eigenvalues: Eigvalsh, every 10 steps"),
    ),
    "full_matrix_adagrad": (("power ½: Eigh()", "power −1: Eigh()"), ROOT_AND_INVERSE),
    "natural_gradient": (("power −1: Eigh()",), (f"power −1: {NEWTON}",)),
    "saddle_free_newton": (("power ½: Eigh()", "power −1: Eigh()"), ROOT_AND_INVERSE),
    "cubic_newton": (
        ("eigenvalues: Eigvalsh", "inverse: SVD"),
        ("eigenvalues: Eigvalsh, every 10 steps", "inverse: SVD, every 10 steps"),
    ),
    "shampoo": (("power −¼: Eigh()",), (f"power −¼: {NEWTON}",)),
    "soap": (("eigenbasis: Eigh()",), (QR,)),
    "splus": (("eigenbasis: Eigh()",), (QR,)),
    "subspace_momentum": ((TOP,), (f"{TOP}, every 10 steps",)),
    "scion_unconstrained": ((SVD,), (GRAM,)),
} | dict.fromkeys(
    ("muadam", "muadam_sania", "muon", "polyak_muadam_sania", "rmsspectral", "scion",
     "adago", "adamuon", "cautious_muon", "frank_wolfe", "gluon", "muonmax", "muonmax_momo", "namo",
     "normuon", "polargrad", "dion2", "drop_muon", "drop_muon_suffix", "trion", "trust_region_muon",
     "turbo_muon", "bounded_muadam_sania", "bounded_polyak_muadam_sania",
     "ef21_muon", "jaguar_muon", "jaguar_frank_wolfe", "root_muon"),
    ((SVD,), (GRAM,)),
) | dict.fromkeys(
    ("bfgs", "ceqn", "online_bfgs"), (("matrix products",),) * 2
)  # fmt: skip

L = nd.ema(G @ G.T, 0.9)


def of(expr, **schedule):
    return kernels(lower(nd.Declaration("probe", (), W - expr), nd.Schedule(**schedule)))


@pytest.mark.parametrize("name", RULES)
def test_every_rule_under_two_schedules(name):
    expected = LINES.get(name, (("entrywise",), ("entrywise",)))
    assert tuple(kernels(lower(RULES[name], s)) for s in (PLAIN, FAST)) == expected


ROLES = {"polar": "polar", "power": "root", "eigenbasis": "eigenbasis"}
METHODS = (nd.SVD, nd.Eigh, nd.QRSVD, nd.CoupledNewton, nd.QRPower, nd.NewtonSchulz)
METHODS += (nd.GramNewtonSchulz, nd.Turbo)
KERNELS = {name for method in METHODS for name in method.kernels.values()}
EXPRESSIONS = {name: rule.update for name, rule in RULES.items()} | {
    "refused": nd.zeros_like(W) + nd.matrix_power(L, 1 / 2) @ G,
    "no last basis": nd.zeros_like(W) + nd.eigenbasis(G @ G.T) @ G,
}


@pytest.mark.parametrize("schedule", [PLAIN, FAST], ids=["plain", "fast"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_is_said_is_what_the_code_calls(name, schedule):
    rule = RULES.get(name) or nd.Declaration("probe", (), EXPRESSIONS[name])
    program, said = lower(rule, schedule), set()
    for line in kernels(program):
        role, _, words = line.partition(": ")
        for method in re.findall(r"(\w+)\(", words.partition(", since")[0]):
            said.add(getattr(nd, method).kernels[ROLES[role.split()[0]]])
    functions = filter(None, (program.arrays, program.renew, *program.surveys))
    called = {x for f in functions for x in f.__code__.co_names}
    assert said == called & KERNELS


def test_what_takes_the_place_of_a_method():
    root = nd.CoupledNewton(7)
    assert of(nd.matrix_power(L, 1 / 2) @ G, root=root) == (
        "power ½: Eigh(), since CoupledNewton(steps=7) does not take this exponent",
    )
    assert of(nd.matrix_power(L, 1 / 2) @ G, root=root, refresh=4) == (
        "power ½: Eigh(), every 4 steps, since CoupledNewton(steps=7) does not take this exponent",
    )
    assert of(nd.eigenbasis(G @ G.T) @ G, eigenbasis=nd.QRPower()) == (
        "eigenbasis: Eigh(), since QRPower() needs a last basis and this one reads no state",
    )


def test_only_what_is_kept_has_a_period():
    of_gradient = nd.matrix_power(G @ G.T, -1 / 4) @ G
    both = of(of_gradient + nd.matrix_power(L, -1 / 4) @ G, root=nd.Eigh(), refresh=3)
    assert sorted(both) == ["power −¼: Eigh()", "power −¼: Eigh(), every 3 steps"]


@pytest.mark.parametrize(
    ("expr", "line"),
    [
        (nd.cholesky(L) @ G, "Cholesky factor: Eigh and QR, every 2 steps"),
        (nd.max(nd.eigenvalues(L)) * G, "eigenvalues: Eigvalsh, every 2 steps"),
        (nd.inverse(L @ nd.ema(G @ G.T, 0.5)) @ G, "inverse: SVD, every 2 steps"),
        (nd.nuclear.value(G) * G, "singular values: SVD"),
        (nd.ky_fan(2).dual_norm.lmo(G), "singular triple: SVD"),
        (nd.max_of(nd.spectral, nd.max_entry).lmo(G), "LMO of several norms: ADMM(1000 steps)"),
        (G @ G.T @ G, "matrix products"),
        (nd.sign(G), "entrywise"),
    ],
    ids=str,
)
def test_what_has_one_way_only(expr, line):
    assert of(expr, refresh=2) == (line,)


def test_polynomials_are_counted_and_options_said():
    x = nd.polar(G)
    assert of(x, polar=nd.jordan()) == ("polar: NewtonSchulz(5 steps)",)
    assert of(x, polar=nd.polar_express(8, "bfloat16")) == (
        "polar: NewtonSchulz(8 steps, dtype=bfloat16)",
    )
    assert of(x, polar=nd.Turbo()) == ("polar: Turbo(4 steps)",)


@pytest.mark.parametrize(("missing", "unfit", "told"), [
    ("quack-kernels is not installed", None, "torch.bmm, since quack-kernels is not installed"),
    (None, None, "gemm_symmetric of quack-kernels, since it is installed"),
    (None, "matrices up to 256 are one tile", "torch.bmm, since matrices up to 256 are one tile"),
])  # fmt: skip
def test_on_gpus_it_is_told_what_forms_symmetric_products(monkeypatch, missing, unfit, told):
    asked = []
    monkeypatch.setattr("normdsl.compiler.lowering.choices.has_bfloat16", lambda device: True)
    monkeypatch.setattr("normdsl.compiler.lowering.methods_used.has_bfloat16", lambda device: True)
    monkeypatch.setattr(hopper, "refusal", lambda: missing)
    monkeypatch.setattr(hopper, "unfit", lambda *where: asked.append(where) or unfit)
    program = lower(nd.algorithms.muon, nd.Schedule())
    spot = Spot(torch.device("cuda"), torch.float32, ((768, 512), (512, 512)))
    (line,) = [x for x in choices(program, spot) if x.startswith("symmetric products")]
    assert told in line
    assert missing or asked[0] == (spot.device, torch.bfloat16, 512, 768)
    on_cpu = attrs.evolve(spot, device=torch.device("cpu"))
    assert not any("symmetric" in x for x in choices(program, on_cpu))
