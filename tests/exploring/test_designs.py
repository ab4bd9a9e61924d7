"""Grids: what is declared, refused, equal; parts of one's own."""

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.exploring.designs import grid
from normdsl.exploring.merging import merged


def test_the_whole_grid_has_a_thousand_declarations_each_with_a_name_of_its_own():
    designs = grid()
    assert len(designs) >= 1000
    assert len({d.name for d in designs}) == len(designs)
    refused = [d for d in designs if d.rule is None]
    assert {(d.preconditioner, d.step) for d in refused} == {("after", "polyak")}
    assert all("layers are combined by a gauge of one norm" in d.why for d in refused)
    assert all(d.rule.name == d.name for d in designs if d.rule)


def test_a_design_is_what_one_would_write_with_the_names_of_its_parts():
    (design,) = grid(["spectral"], ["sania"], ["average"], ["bounded"])

    @nd.optimizer
    def written(
        lr: nd.NonNegative = 1e-3,
        beta1: nd.Fraction = 0.9,
        beta2: nd.Fraction = 0.999,
        bound: nd.Positive = 0.1,
    ):
        m = nd.ema(G, beta1, debias=True)
        v = nd.ema(G * G, beta2, debias=True)
        norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v))
        move, first = lr * norm.lmo(m), nd.start(W)
        return W + nd.clip_entries(move, bound * nd.abs(first))

    assert design.rule.update == written.update
    assert design.rule.defaults == written.defaults
    assert set(design.rule.labels.values()) >= {"m", "v", "move", "first"}


def test_parts_of_ones_own_are_values_functions_and_mappings():
    def tall(norm, beta2: nd.Fraction = 0.5):
        return nd.preconditioned(norm, left=nd.matrix_power(nd.ema(G @ G.T, beta2), 1 / 4))

    designs = grid(
        [nd.spectral, nd.schatten(3)],
        [tall],
        {"slow": lambda x: nd.ema(x, 0.99)},
        [lambda_free_step],
    )
    assert [d.norm for d in designs] == ["spectral", "‖X‖_S3"]
    assert [d.momentum for d in designs] == ["slow", "slow"]
    assert designs[0].rule.defaults == {"lr": 1e-3, "beta2": 0.5}
    assert len({d.name for d in designs}) == 2


def lambda_free_step(lr, norm, m):
    return W + lr * norm.lmo(m)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"norms": ["spectrl"]}, "did you mean spectral?"),
        ({"momenta": [lambda x: x]}, "call parts by their names"),
        ({"norms": {"mine": 3}}, "an int is no norm"),
        ({"steps": []}, "it has no step"),
    ],
)
def test_what_is_no_part_is_refused(given, told):
    with pytest.raises(nd.NormdslError, match=told.replace("?", r"\?")):
        grid(**given)


def test_two_parts_with_one_hyperparameter_are_refused_as_a_design():
    def clash(norm, beta1: nd.Fraction = 0.5):
        return nd.preconditioned(norm, hadamard=nd.sqrt(nd.ema(G * G, beta1)))

    (design,) = grid(["spectral"], [clash], ["average"], ["lmo"])
    assert design.rule is None
    assert "two of its parts have a hyper-parameter beta1" in design.why


def test_designs_that_are_equal_once_norms_are_defined_are_merged():
    designs = grid(["frobenius"], ["adam", "after"], ["average"], ["sharp", "lmo"])
    assert merged(designs) == {"frobenius_after_average_sharp": "frobenius_adam_average_sharp"}
