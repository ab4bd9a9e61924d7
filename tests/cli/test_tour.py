"""The tour, shortened: what it prints, what it measures, and the picture it saves."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import normdsl.cli.tour
from normdsl.algorithms import bounded_muadam_sania, sgd
from normdsl.cli import rule as written
from normdsl.cli import units
from normdsl.cli.tour import CONTESTANTS, tour
from normdsl.training.digits import digits


@pytest.mark.slow
def test_the_tour_tells_the_story_and_measures_it(tmp_path, monkeypatch):
    monkeypatch.setattr(normdsl.cli.tour, "TABLE", ("muadam_sania", "adamw"))
    monkeypatch.setattr(units, "SPREADS", (0, 4))
    monkeypatch.setattr("normdsl.cli.figure.SPREADS", (0, 4))
    out = io.StringIO()
    picture = tmp_path / "tour.png"
    console = Console(file=out, width=140, highlight=False)
    fates = {f.name: f for f in tour(console, picture, steps=60)}
    told = out.getvalue()
    assert "norm = nd.preconditioned(nd.spectral" in told
    assert "v_buffer ← β₂" in told
    assert "if eps = 0" in told
    assert "Replayed from its seed" in told
    assert "def step(W, G" in told
    assert set(fates) == set(CONTESTANTS)
    for name, fate in fates.items():
        same = name in ("muadam_sania", "bounded_muadam_sania")
        assert fate.verdict == ("yes" if same else "no")
        assert (fate.distances[-1] < 1e-6) == same
        assert (abs(fate.accuracies[0] - fate.accuracies[-1]) < 0.01) == same
    assert fates["bounded_muadam_sania"].accuracies[-1] > 0.85
    assert picture.stat().st_size > 20_000


def test_the_rule_the_tour_writes_is_the_one_that_comes_along():
    kept = bounded_muadam_sania.bind(weight_decay=0)
    assert str(written.bounded_muadam_sania.update) == str(kept.update)


def test_a_rate_is_tuned_by_what_it_reaches(monkeypatch):
    monkeypatch.setattr(units, "RATES", (1e-9, 1.0, 0.5))
    ticks = []
    assert units.tuned(sgd, digits(), 30, lambda: ticks.append(1)) in (1.0, 0.5)
    assert len(ticks) == 3


def test_the_rule_the_tour_prints_has_ten_lines():
    code = [line for line in Path(written.__file__).read_text().splitlines() if line.strip()]
    assert len(code) <= 10
