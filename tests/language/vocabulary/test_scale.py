"""Scales: their formulas, what multiplies, conversion, and what they change of a verdict."""

import math

import pytest
import torch
from properties import evaluate, random_matrix, refuses
from references.problems import CASES, run_loop, run_optimizer, worst
from references.tools import polar

import normdsl as nd
from normdsl import G, W
from normdsl.vocabulary import scale

FORMULAS = {
    "none": lambda m, n: 1.0,
    "shape": lambda m, n: max(1, m / n) ** 0.5,
    "spectral": lambda m, n: (m / n) ** 0.5,
    "unit_rms": lambda m, n: max(m, n) ** 0.5,
    "match_adamw_rms": lambda m, n: 0.2 * max(m, n) ** 0.5,
    "mean_length": lambda m, n: 2 / (m + n),
    "fan_in": lambda m, n: 1 / n,
    "root_fan_in": lambda m, n: n**-0.5,
    "root_fan_out": lambda m, n: m**0.5,
}
SHAPES = ((3, 5), (5, 3), (4, 4), (1, 7))
SCALES = pytest.mark.parametrize("known", scale.ALL, ids=lambda s: s.name)


def test_every_scale_has_its_name():
    named = {name: x for name, x in vars(scale).items() if isinstance(x, scale.Scale)}
    assert named.pop("mup") is scale.spectral
    assert {x.name: x for x in named.values()} == named
    assert tuple(named.values()) == scale.ALL
    assert set(named) == set(FORMULAS)
    assert all(x.reference for x in scale.ALL)


# Values


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@SCALES
def test_its_value_is_the_formula_and_what_runs(known, shape):
    expected = FORMULAS[known.name](*shape)
    assert known.at(shape) == pytest.approx(expected, rel=1e-14)
    x = random_matrix(*shape)
    torch.testing.assert_close(evaluate(known * G, x), expected * x, rtol=1e-14, atol=0)


def literally(w, g, t, state, *, loss, lr, factor):
    return w - lr * factor(*w.shape) * polar(g)


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
@SCALES
def test_it_runs_as_the_literal_loop(known, case):
    rule = nd.optimizer(lambda lr=0.1: W + lr * known * nd.spectral.lmo(G))
    ours = run_optimizer(lambda p: rule(p, lr=0.01), case, 20)
    theirs = run_loop(literally, case, 20, lr=0.01, factor=FORMULAS[known.name])
    assert worst(ours, theirs) <= 1e-10


def test_two_conventions_are_those_of_torch():
    start, grad = random_matrix(12, 4), random_matrix(12, 4, 1)
    steps = {}
    for option in ("original", "match_rms_adamw"):
        p = torch.nn.Parameter(start.clone())
        p.grad = grad.clone()
        torch.optim.Muon([p], lr=0.1, weight_decay=0.0, adjust_lr_fn=option).step()
        steps[option] = (start - p.detach()).norm().item()
    ratio = steps["match_rms_adamw"] / steps["original"]
    ours = scale.match_adamw_rms.at((12, 4)) / scale.shape.at((12, 4))
    assert ratio == pytest.approx(ours, rel=1e-6)


# What it multiplies


def test_it_stands_for_its_factor():
    lr = nd.t
    factor = nd.sqrt(nd.maximum(1, nd.rows / nd.cols))
    assert scale.shape.factor == factor
    assert lr * scale.shape * G == lr * factor * G
    assert scale.shape * G == factor * G
    assert G * scale.shape == G * factor
    assert 2 * scale.shape == 2 * factor
    assert scale.shape * 2 == factor * 2
    assert scale.shape / scale.fan_in == factor / (1 / nd.cols)
    assert 1 / scale.shape == 1 / factor
    assert lr / scale.shape == lr / factor
    assert nd.sqrt(scale.shape) == nd.sqrt(factor)
    assert scale.none * G == G


def test_it_multiplies_norms():
    assert (1 / scale.spectral) * nd.spectral == nd.Norm.__rmul__(
        nd.spectral, 1 / scale.spectral.factor
    )
    x = random_matrix(3, 5)
    scaled, named = (1 / scale.mup) * nd.spectral, nd.rms_to_rms
    torch.testing.assert_close(evaluate(scaled.lmo(G), x), evaluate(named.lmo(G), x))
    assert (scale.shape * nd.spectral).factor == scale.shape.factor


def test_it_is_shown():
    assert str(scale.shape) == "√max(1, m / n)"
    assert repr(scale.shape) == "<scale shape: √max(1, m / n)>"
    assert scale.shape._repr_latex_().startswith("$")


def test_muon_and_splus_use_them():
    for name, known in (("muon", scale.shape), ("splus", scale.mean_length)):
        assert str(known) in str(nd.algorithms.__dict__[name])


# Conversion


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@SCALES
def test_a_converted_rate_steps_as_far(known, shape):
    for other in scale.ALL:
        lr = scale.convert(0.3, known, other, shape)
        assert lr * other.at(shape) == pytest.approx(0.3 * known.at(shape))
        assert scale.convert(lr, other, known, shape) == pytest.approx(0.3)


def test_tables_hold_factors_and_quotients():
    table = scale.table((8, 2), (2, 8), scales=(scale.shape, scale.fan_in))
    assert table.head == ["scale", "factor", "8 × 2", "2 × 8"]
    assert table.rows == [
        ["shape", "√max(1, m / n)", "2", "1"],
        ["fan_in", "1 / n", "0.5", "0.125"],
    ]
    quotients = scale.conversions((8, 2), scales=(scale.shape, scale.fan_in))
    assert quotients.rows == [["shape", "1", "4"], ["fan_in", "0.25", "1"]]


# A scale of one's own


def test_a_scale_of_ones_own():
    mine = scale.Scale("mine", nd.maximum(nd.rows, 3) ** 2 - nd.cols / 2)
    assert mine.at((2, 4)) == 7
    assert scale.convert(1, mine, scale.none, (2, 4)) == 7
    assert math.isclose(scale.Scale("half", 0.5).at((1, 1)), 0.5)


@pytest.mark.parametrize("factor", [nd.t, nd.loss, nd.sign(nd.rows), nd.frobenius.value(G)])
def test_what_is_no_formula_of_the_lengths_is_refused(factor):
    with refuses(nd.DeclarationError, "nd.rows"):
        scale.Scale("mine", factor)


def test_factors_are_scalars_above_zero():
    with refuses(nd.ShapeError, "one number"):
        scale.Scale("mine", G)
    with refuses(nd.DeclarationError, "above 0"):
        scale.Scale("mine", nd.rows - 5)
    with refuses(nd.DeclarationError, "(4, 9)"):
        scale.Scale("mine", 5 - nd.rows / 2 - nd.cols / 3).at((4, 9))


@pytest.mark.parametrize(
    "factor",
    [1 / (nd.rows - 2), (nd.cols - 3) ** -2, nd.rows**2000],
    ids=str,
)
def test_factors_are_numbers(factor):
    with refuses(nd.DeclarationError, "too large for floating point, or not real", "above 0"):
        scale.Scale("mine", nd.maximum(1, factor))


def test_factors_are_finite():
    with refuses(nd.DeclarationError, "it is inf for shape (2, 3)"):
        scale.Scale("mine", nd.rows**1000 * nd.cols**500)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (3, 2.5), (2, 3, 4), 5, None, "23"], ids=str)
def test_shapes_are_two_lengths(shape):
    with refuses(nd.ShapeError, "(out, in)"):
        scale.shape.at(shape)


# What the checker says

#: The same for a matrix and its transpose.
SYMMETRIC = {"none", "unit_rms", "match_adamw_rms", "mean_length"}


def rules(factor):
    """Muon's geometry, and one that is scale invariant."""

    def plain(lr=0.1):
        return W + lr * factor * nd.spectral.lmo(nd.ema(G, 0.9))

    def weighted(lr=0.1):
        norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.ema(G * G, 0.9)))
        return W + lr * factor * norm.lmo(G)

    return {rule.__name__: nd.optimizer(rule) for rule in (plain, weighted)}


def answers(factor, **options):
    reports = {name: rule.check(**options) for name, rule in rules(factor).items()}
    return {(name, v.group.name): v.answer for name, report in reports.items() for v in report}


@pytest.fixture(scope="module")
def bare():
    return answers(1)


TRANSPOSES = {("plain", "transpose"), ("weighted", "transpose")}


@SCALES
def test_it_changes_no_verdict_but_that_on_transposes(known, bare):
    """What is proved; what is not is `unknown` here, as no witness is looked for."""
    unproved = {key for key, answer in bare.items() if answer == "not invariant"}
    proved = answers(known, witnesses=False)
    changed = {key for key in bare if proved[key] != ("unknown" if key in unproved else bare[key])}
    assert changed == (set() if known.name in SYMMETRIC else TRANSPOSES)
    assert {proved[key] for key in changed} <= {"unknown"}
    assert {bare[key] for key in TRANSPOSES} == {"invariant"}


@SCALES
def test_what_it_does_not_keep_has_a_witness(known, bare):
    """Under every scale some of what no scale keeps, all of it together; and the transposes."""
    broken = sorted(key for key, answer in bare.items() if answer == "not invariant")
    cells = set(broken[scale.ALL.index(known) :: len(scale.ALL)])
    assert cells
    for name, group in cells if known.name in SYMMETRIC else cells | TRANSPOSES:
        assert rules(known)[name].check(group).answer == "not invariant", (name, group)
