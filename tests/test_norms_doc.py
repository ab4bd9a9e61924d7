"""The page on norms says what the code does."""

import norms_catalogue
import norms_doc

from normdsl import norms


def test_the_page_is_up_to_date():
    assert norms_doc.PAGE.read_text() == norms_doc.page(), "run: python tests/norms_doc.py"


def test_every_class_and_every_named_norm_is_on_it():
    listed = [row.norm for row in norms_doc.ROWS]
    assert {type(x) for x in listed} == {type(x) for x in norms_catalogue.NORMS.values()}
    named = [x for x in map(norms.__dict__.get, norms.__all__) if isinstance(x, norms.Norm)]
    assert named
    assert [x for x in named if x not in listed] == []


def test_every_row_is_a_row():
    for row in norms_doc.ROWS:
        assert not any("|" in cell for cell in norms_doc.cells(row))
