"""The table of docs/parity.md has the rows of the registry; its numbers are not compared."""

from pathlib import Path

import parity

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "parity.md"


def test_the_document_has_exactly_the_rows_of_the_registry():
    assert parity.keys(DOCUMENT.read_text()) == parity.expected()


def test_a_row_that_is_missing_or_judged_otherwise_is_noticed():
    text = DOCUMENT.read_text()
    first = next(line for line in text.splitlines() if line.startswith("| `"))
    assert parity.keys(text.replace(first, "")) != parity.expected()
    assert parity.keys(text.replace("| equal |", "| deviates |", 1)) != parity.expected()
