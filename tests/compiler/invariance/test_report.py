"""Reports and verdicts as text, HTML and LaTeX."""

import pytest

import normdsl as nd
from normdsl.algorithms import adam, muadam_sania


def test_a_report_has_one_row_per_group():
    report = adam.check()
    assert [v.group for v in report] == list(nd.groups.ALL)
    assert len(str(report).splitlines()) == len(report) == len(nd.groups.ALL)


def test_look_up_by_group_or_name():
    report = muadam_sania.check()
    assert report["scale"] == report[nd.groups.scale]
    with pytest.raises(nd.NormdslError, match="no verdict for it"):
        report["unheard_of"]


def test_html_has_a_cell_per_verdict_and_escapes():
    markup = muadam_sania.check()._repr_html_()
    assert markup.count("<tr>") == 1 + len(nd.groups.ALL)
    assert "invariant if eps = 0" in markup
    assert "S_ij &gt; 0" in markup


def test_latex_is_an_array():
    assert muadam_sania.check()._repr_latex_().count(r"\\") == len(nd.groups.ALL) - 1


def test_a_verdict_says_everything():
    told = str(muadam_sania.check(nd.groups.scale))
    assert "invariant if eps = 0" in told
    assert "line" in told
    told = str(adam.check(nd.groups.scale))
    assert "culprit" in told
    assert "witness: seed 0" in told


def test_proof_lines_point_at_source_lines():
    verdict = muadam_sania.check(nd.groups.scale)
    lines = {line.formula: line for line in verdict.proof}
    assert lines["G²"].where.text == "v = nd.ema(G * G, beta2, debias=True)"
    assert lines["G²"].moves == "entries S^(-2)"
    assert lines["v_buffer_old"].rule == "the assumption of the induction"
    assert verdict.proof[-1].expr == muadam_sania.update


def test_a_verdict_in_a_notebook_shows_its_proof_or_its_counterexample():
    proof = muadam_sania.check(nd.groups.scale)._repr_html_()
    assert proof.count("<tr>") == len(muadam_sania.check(nd.groups.scale).proof)
    assert "S_ij &gt; 0" in proof
    assert "Counterexample" in adam.check(nd.groups.scale)._repr_html_()
