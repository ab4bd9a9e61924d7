"""What is printed on a narrow console."""

import io

from rich.console import Console

from normdsl.algorithms import bounded_muadam_sania, muon
from normdsl.cli.folding import formulas, print_code, prose


def test_formulas_are_folded_and_indented_further():
    told = formulas(str(bounded_muadam_sania), 80).splitlines()
    assert max(map(len, told)) <= 80
    assert told[1] == "    0.1, λ: weight_decay = 0)"
    assert told[2].startswith("  m_buffer ← ")


def test_paragraphs_are_filled_and_keep_what_fits():
    text = "One line\nand another.\n\n" + "word " * 18 + "word\nmore.\n\n    x = 1  " + "y" * 90
    told = prose(text, 80).split("\n\n")
    assert told[0] == "One line\nand another."
    assert told[1].splitlines() == [("word " * 16).strip(), "word word word more."]
    assert told[2] == "    x = 1  " + "y" * 90


def test_code_is_printed_as_it_is_on_a_narrow_terminal():
    out = io.StringIO()
    code = muon.source(shape=(4, 8))
    print_code(Console(file=out, width=40, no_color=True), code)
    assert out.getvalue() == code
