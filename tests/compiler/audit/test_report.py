"""The report as a value: looked up, listed, shown in a notebook."""

import base64
import functools
import re

import attrs
import pytest
from specimens import CorruptsState, Floored, Plain

import normdsl as nd
from normdsl.compiler.audit.findings import Kind, Status
from normdsl.errors import NormdslError
from normdsl.show.colours import Tone

AUDIT = nd.audit(Floored, name="<b>floored", steps=3, seeds=1)


@functools.cache
def page():
    return AUDIT._repr_html_()


def test_the_worst_verdict_is_looked_up():
    assert AUDIT["loss_scale"].answer == "holds"
    assert AUDIT["scale"].answer.startswith("breaks (factor ")
    assert AUDIT["gradient_scale"].status is Status.ABOVE
    careless = nd.audit(CorruptsState, steps=1, seeds=1)
    assert careless["precision"].options == "careful=False"
    assert len(careless.of("precision")) == 6


def test_an_unknown_probe_is_refused_in_words():
    with pytest.raises(NormdslError, match="it has affine, left_affine"):
        AUDIT["conformal"]


def test_defects_are_listed():
    assert {f.probe for f in AUDIT.defects} == {"gradient_scale"}
    assert len(AUDIT.complaints) == 1
    assert nd.audit(Plain, steps=1, seeds=1).complaints == ()


def test_it_is_a_sequence_of_findings():
    assert len(list(AUDIT)) == len(AUDIT) == len(AUDIT.findings)
    assert {f.kind for f in AUDIT} == set(Kind)
    assert repr(AUDIT) == str(AUDIT)


def test_a_notebook_shows_a_picture_and_every_probe():
    data = re.search(r"data:image/png;base64,([^']+)'", page()).group(1)
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert all(f"<td style='text-align:left'>{f.probe}</td>" in page() for f in AUDIT)


def test_the_table_colours_verdicts_and_names_what_was_not_tried():
    grid = attrs.evolve(AUDIT, untried=(("foreach=True", "it <raises>"),)).grid()
    assert grid.tones["holds"] is Tone.GOOD
    assert [grid.tones[row[2]] for row in grid.rows if row[0] == "scale"] == [Tone.BAD]
    assert f"color:{Tone.QUALIFIED.page};font-weight:600'>holds above" in grid.html()
    assert "<p>not tried: foreach=True: it &lt;raises&gt;</p>" in grid.html()


def test_names_of_others_are_escaped():
    assert "<b>" not in page()
    assert "&lt;b&gt;floored" in page()


def test_without_matplotlib_a_notebook_has_the_table_and_says_so(monkeypatch):
    def refuse(*args, **options):
        raise NormdslError("draw", why="matplotlib is not installed", hint="pip install it")

    monkeypatch.setattr("normdsl.compiler.audit.report.draw", refuse)
    shown = AUDIT._repr_html_()
    assert "Without a picture: matplotlib is not installed" in shown
    assert "<img" not in shown
    assert AUDIT.grid().html() in shown
