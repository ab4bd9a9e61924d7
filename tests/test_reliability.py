"""Faults of gradients, saved states, files and texts: refused or survived, and documented."""

import sys
from pathlib import Path

import pytest
import reliability
import torch
from failures import checkpoints, corrupted, gradients, scales, texts
from failures.subject import RULES, same

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
DTYPES = pytest.mark.parametrize("dtype", reliability.DTYPES, ids=str)
#: What no fault may come to.
BROKEN = ("CHANGED", "NOT FINITE", "LOADED WRONGLY")


@DTYPES
@pytest.mark.parametrize("nonfinite", gradients.MODES)
@pytest.mark.parametrize("fault", gradients.FAULTS, ids=lambda f: f.name)
def test_a_step_under_a_fault_is_refused_skipped_or_finite(fault, nonfinite, dtype):
    for name in filter(lambda n: gradients.applies(n, fault), RULES):
        found = gradients.outcome(name, fault, dtype, nonfinite)
        assert found in gradients.expected(name, fault, nonfinite), name


@DTYPES
@pytest.mark.parametrize("name", scales.SCALE_FREE)
def test_scale_free_rules_are_right_at_every_scale(name, dtype):
    for scale in scales.SCALES:
        assert scales.run(name, scale, dtype).verdict == "right", scale


@DTYPES
@pytest.mark.parametrize("name", scales.NAMES)
def test_other_rules_are_right_in_between_and_refused_or_visibly_lost_beyond(name, dtype):
    for scale in (1e-15, 1.0, 1e15):
        assert scales.run(name, scale, dtype).verdict == "right", scale
    beyond = {scales.run(name, scale, dtype).verdict for scale in (1e-40, 1e-30, 1e30)}
    assert beyond <= {"right", "refused", "lost", "too small to tell"}


def test_squares_that_underflow_are_seen():
    assert scales.run("adamw, eps = 0", 1e-30, torch.float32).verdict == "lost"
    assert scales.run("adamw", 1e30, torch.float32).verdict == "refused"


@pytest.mark.parametrize("name", checkpoints.NAMES)
@pytest.mark.parametrize("fault", checkpoints.CORRUPTIONS, ids=lambda f: f.name)
def test_a_saved_state_is_loaded_exactly_or_not_at_all(name, fault):
    assert checkpoints.outcome(name, fault) == fault.result


@pytest.mark.parametrize("fraction", checkpoints.FRACTIONS)
def test_a_process_killed_while_it_saves(fraction):
    assert checkpoints.killed("adamw")[fraction] == ("refused", "loaded exactly")


@pytest.mark.parametrize("name", checkpoints.OLDER)
def test_states_of_version_0_1_0_are_loaded_and_go_on_or_are_refused(name):
    # The second moments of SOAP did not turn along with their bases then.
    expected = "refused" if name == "soap" else "loaded, and goes on as there"
    assert checkpoints.older(name) == expected


@pytest.mark.parametrize("text", texts.TEXTS, ids=lambda t: t.name)
def test_a_text_is_refused_or_harmless(text):
    assert texts.outcome(text) == text.result
    assert "owned" not in sys.modules


def test_random_corruptions_of_rules_are_refused_or_run():
    legal = [corrupted.survived(corrupted.corrupted(seed)) for seed in range(500)]
    assert 20 < sum(legal) < 480


# The document


@pytest.fixture(scope="module")
def current():
    return reliability.without_digits(reliability.document())


def test_the_document_says_what_came_of_every_fault(current):
    assert reliability.without_digits(DOCUMENT.read_text()) == current


def test_nothing_is_changed_by_what_is_refused(current):
    cells = current.split("## One step")[1]
    assert not any(f"| {word}" in cells or f"/ {word}" in cells for word in BROKEN)


def test_nothing_falls_short(current):
    assert list(reliability.unmet()) == []
    assert current.split("## Not as it should be")[1].strip().endswith("Nothing.")


def test_another_outcome_is_noticed(current):
    assert current.replace("refused", "moves", 1) != current
    text = "| `muon` | right: 4e-07 | off: 1e-01 | lost: float64 moves by 4e-02 |"
    assert reliability.without_digits(text) == reliability.without_digits(
        text.replace("4e-07", "3e-07").replace("4e-02", "5e-02")
    )
    assert reliability.without_digits(text) != reliability.without_digits(
        text.replace("right", "off")
    )


def test_bits_are_compared_and_not_values():
    zero, nan = torch.zeros(2), torch.full((2,), torch.nan)
    assert same([nan], [nan.clone()])
    assert not same([zero], [-zero])
    assert not same([zero], [zero.double()])
