"""The tour, shortened: what it prints, what it measures, and the picture it saves."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import normdsl.cli.tour
from normdsl.cli import rule as written
from normdsl.cli.tour import CONTESTANTS, tour


@pytest.mark.slow
def test_the_tour_tells_the_story_and_measures_it(tmp_path, monkeypatch):
    monkeypatch.setattr(normdsl.cli.tour, "TABLE", ("muadam_sania", "adamw"))
    out = io.StringIO()
    picture = tmp_path / "tour.png"
    console = Console(file=out, width=140, highlight=False)
    contrasts = {c.name: c for c in tour(console, picture, steps=40)}
    told = out.getvalue()
    assert "norm = nd.preconditioned(nd.spectral" in told
    assert "v_buffer ← β₂" in told
    assert "if eps = 0" in told
    assert "Replayed from its seed" in told
    assert "def step(W, G" in told
    assert set(contrasts) == set(CONTESTANTS)
    assert contrasts["muadam_sania"].distance < 1e-6
    assert contrasts["muadam_sania"].verdict == "invariant"
    for name in ("adamw", "muon", "muadam"):
        assert contrasts[name].verdict == "not invariant"
        assert contrasts[name].distance > 1e-2
    assert picture.stat().st_size > 20_000


def test_the_rule_the_tour_prints_has_ten_lines():
    code = [line for line in Path(written.__file__).read_text().splitlines() if line.strip()]
    assert len(code) <= 10
