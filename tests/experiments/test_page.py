"""The page and the picture: what they say is computed from results."""

import attrs
import pytest
from matplotlib.image import imread

from normdsl.experiments.experiment import TUNING
from normdsl.experiments.figure import draw
from normdsl.experiments.page import tables, told, write
from normdsl.experiments.results import Head, Results, Run
from normdsl.experiments.scale import RAW, scale
from normdsl.experiments.summary import outcomes

HEAD = Head("scale", 100, (0.1, 1.0), (1, 2), "2026-11-29", "a processor", {"torch": "2.13"})


def runs(method, rate, scores, tuned, fault=None):
    """Runs that tune, rates with losses or None, and runs that count, with scores."""
    blank = Run("wine", RAW, method, rate, 0, 0.5, 0.25, None, None, 2.0, 1.0)
    for tried, valid in tuned.items():
        yield attrs.evolve(blank, rate=tried, seed=TUNING, valid=valid, test=None)
    for seed, score in enumerate(scores, start=1):
        yield attrs.evolve(blank, seed=seed, score=score, fault=fault)


@pytest.fixture
def results(tmp_path):
    """Muon is best; one run of Adam's diverged, at an end of its rates; SGD has no rate."""
    every = [
        *runs("muon", 0.1, [0.97, 0.99], {0.1: 0.2, 1.0: None, 0.0316: 0.3}),
        *runs("adam", 1.0, [0.9, 0.8], {0.1: 0.6, 1.0: 0.5}, fault="diverged"),
        *runs("affine_muon", 0.1, [0.97, 0.97], {0.1: 0.2, 1.0: 0.3}),
        *runs("normalized_sgd", 0.1, [0.3, 0.3], {0.1: None, 1.0: None}),
        *runs("sign_sgd", 0.1, [0.9], {0.1: 0.1}),  # not finished: it has one seed of two
    ]
    return Results(tmp_path / "scale.jsonl", HEAD, {run.key: run for run in every})


def test_a_table_says_the_best_the_failed_and_what_was_not_reached(results):
    ((title, grid),) = tables(scale(), results, {})
    assert title == "Wine"
    cells = {row[0]: row[1:] for row in grid.rows}
    assert cells == {
        "normalized_sgd": ["no rate trains", "—", "0 of 2", "2", "1"],
        "muon": ["**98.0 ± 1.4** (0.1)", "0.250 ± 0.000", "2 of 3", "2", "1"],
        "adam": ["85.0 ± 7.1 (1!) 2 ✗", "0.250 ± 0.000", "2 of 2", "2", "1"],
        "affine_muon": ["97.0 ± 0.0 (0.1!)", "0.250 ± 0.000", "2 of 2", "2", "1"],
    }


def test_sentences_name_the_best_its_equals_and_the_place_of_what_is_new(results):
    assert list(told(RAW, outcomes(results, "wine", RAW))) == [
        "*as they are*: best is muon; within its standard deviation affine_muon. "
        "New here: affine_muon 2nd of 4.",
        "*as they are*: no rate trains: normalized_sgd.",
    ]


def test_the_page_has_verdicts_settings_and_the_picture(results, tmp_path):
    page, only = tmp_path / "docs" / "page.md", ("muon", "adam")
    experiment = scale()
    methods = tuple(m for m in experiment.methods if m.name in only)
    write([(attrs.evolve(experiment, methods=methods), results)], tmp_path, page)
    text = page.read_text()
    assert "| muon | no | **98.0 ± 1.4** (0.1) |" in text
    assert "100 steps; a grid of 2 rates from 0.1 to 1 by decades, and two; seeds 1, 2;" in text
    assert "](../scale.png)" in text
    assert "Not run yet: digits, breast cancer, one-hot and breast cancer." in text


def test_the_picture_is_not_empty(results, tmp_path):
    draw(scale(), results, tmp_path / "scale.png")
    picture = imread(tmp_path / "scale.png")
    assert picture[..., :3].min() < 0.2 < 0.9 < picture[..., :3].mean()
