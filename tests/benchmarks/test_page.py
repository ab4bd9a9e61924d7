"""The page docs/speed.md."""

from pathlib import Path

from measurements import REPORT, report, row

from normdsl.benchmarks.page import page
from normdsl.benchmarks.results import read

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def test_losses_are_told_as_wins_are():
    told = page({"cpu": REPORT})
    assert (
        "| CPU | gpt | normdsl AdamW, median against torch AdamW fused | 1.50 × | 0.75 × | met |"
        in told
    )
    compiled = "normdsl AdamW compiled, median against torch AdamW fused | 1.05 × | 1.50 ×"
    assert f"| CPU | gpt | {compiled} | **missed** |" in told
    assert "Skipped: heavyball Muon (not importable: no heavyball)." in told


def test_a_gpu_is_not_measured_until_it_is():
    told = page({"cpu": REPORT})
    assert "Not measured: no GPU was at hand" in told
    gpu = report(
        row("torch AdamW fused", 1.3, "gpt-124m", launch=1e-4),
        row("normdsl AdamW", 1.0, "gpt-124m", launch=2e-4),
        device="cuda",
    )
    merged = page({"cpu": REPORT, "cuda": gpu})
    assert "no GPU was at hand" not in merged
    assert "launch ms" in merged.split("## GPU")[1]
    assert "| GPU | gpt-124m | normdsl AdamW, median against torch AdamW fused |" in merged
    assert "| 1.00 × | 0.77 × | met |" in merged


def test_the_document_is_the_page_of_its_measurements():
    reports = [read(path) for path in sorted(DOCS.glob("speed*.json"))]
    assert (DOCS / "speed.md").read_text() == page({r.device: r for r in reports})
