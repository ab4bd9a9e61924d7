"""Verdicts in words, and which of them are defects."""

import pytest

from normdsl.compiler.audit.findings import Finding, Kind, Status
from normdsl.show.colours import Tone

ROWS = [
    (Finding("affine", Kind.SYMMETRY, Status.HOLDS), "holds", False),
    (
        Finding("affine", Kind.SYMMETRY, Status.BREAKS, factor=0.3, step=2),
        "breaks (factor 0.3, first step 2)",
        False,
    ),
    (
        Finding("affine", Kind.SYMMETRY, Status.UNKNOWN, noise=0.2),
        "unknown (noise alone: 0.2)",
        False,
    ),
    (
        Finding("gradient_scale", Kind.SCALE, Status.ABOVE, above=1e-5),
        "holds above ‖G‖ = 1e-05",
        True,
    ),
    (Finding("affine", Kind.SYMMETRY, Status.UNKNOWN), "unknown", False),
    (Finding("storage", Kind.MEMORY, Status.BREAKS), "breaks", True),
    (Finding("storage", Kind.MEMORY, Status.BREAKS, step=1), "breaks (first step 1)", True),
    (Finding("dtype", Kind.MEMORY, Status.UNSUPPORTED), "not supported", False),
]


@pytest.mark.parametrize(("finding", "answer", "defect"), ROWS, ids=[r[1] for r in ROWS])
def test_answers(finding, answer, defect):
    assert finding.answer == answer
    assert finding.defect is defect
    assert str(finding).startswith(f"{finding.probe} (defaults, float64): {answer}")


def test_every_status_has_a_tone():
    tones = {status: status.tone for status in Status}
    assert tones == {
        Status.HOLDS: Tone.GOOD,
        Status.ABOVE: Tone.QUALIFIED,
        Status.BREAKS: Tone.BAD,
        Status.UNKNOWN: Tone.OPEN,
        Status.UNSUPPORTED: Tone.OPEN,
    }
