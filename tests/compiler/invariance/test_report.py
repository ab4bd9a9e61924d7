"""Reports and verdicts as text, HTML and LaTeX."""

import functools

import pytest

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adam, muadam_sania, muon, sgd


@functools.cache
def checked(rule):
    """Return the report on a rule, made once for all tests here."""
    return rule.check()


def test_a_report_has_one_row_per_group():
    report = checked(adam)
    assert [v.group for v in report] == list(nd.groups.ALL)
    assert str(report).splitlines()[0] == "adam"
    assert len(report) == len(nd.groups.ALL) == 16
    assert [line.split()[0] for line in str(report).splitlines()[1:17]] == [
        group.name for group in nd.groups.ALL
    ]


def test_look_up_by_group_or_name():
    report = checked(muadam_sania)
    assert report["scale"] == report[nd.groups.scale]
    with pytest.raises(nd.NormdslError, match="no verdict for it"):
        report["unheard_of"]


def test_html_has_a_cell_per_verdict_and_escapes():
    markup = checked(muadam_sania)._repr_html_()
    assert markup.count("<tr>") == 1 + len(nd.groups.ALL)
    assert "invariant if eps = 0" in markup
    assert "S_ij &gt; 0" in markup


def test_latex_is_an_array():
    assert checked(muadam_sania)._repr_latex_().count(r"\\") == len(nd.groups.ALL)


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


def test_a_verdict_writes_no_formula_before_it_is_read(monkeypatch):
    def write(*_):
        raise AssertionError("a formula was written")

    for name in ("text", "latex"):
        monkeypatch.setattr(f"normdsl.compiler.invariance.lines.{name}", write)
    rule = nd.optimizer(lambda lr=0.1: W - lr * nd.polar(nd.ema(G, 0.9)))
    verdict = rule.check("orthogonal")
    assert verdict.proof
    with pytest.raises(AssertionError, match="a formula was written"):
        str(verdict)


def test_a_verdict_in_a_notebook_shows_its_proof_or_its_counterexample():
    proof = muadam_sania.check(nd.groups.scale)._repr_html_()
    assert proof.count("<tr>") == 1 + len(muadam_sania.check(nd.groups.scale).proof)
    assert "S_ij &gt; 0" in proof
    assert "Counterexample" in adam.check(nd.groups.scale)._repr_html_()


def test_a_comparison_has_a_column_per_rule():
    report = nd.compare(sgd, adam, muadam_sania, witnesses=False)
    assert [d.name for d in report.declarations] == ["sgd", "adam", "muadam_sania"]
    head, *rows = report.table()
    assert head == ["group", "sgd", "adam", "muadam_sania"]
    assert [row[0] for row in rows] == [g.name for g in nd.groups.ALL]
    assert report["sgd", "orthogonal"].answer == "invariant"
    assert report["muadam_sania", nd.groups.scale].answer == "invariant if eps = 0"
    with pytest.raises(nd.NormdslError, match="several rules"):
        report["scale"]
    assert report._repr_html_().count("<tr>") == 17
    assert report._repr_latex_().count(" & ") == 17 * 3
    for wrong in ((), (sgd, sgd)):
        with pytest.raises(nd.NormdslError, match="compare"):
            nd.compare(*wrong)


def test_degrees_and_what_they_exclude():
    report = nd.compare(sgd, adam, muadam_sania, muon, witnesses=False)
    assert [str(d) for d in report.degrees] == [
        "degree 1 if weight_decay = 0",
        "degree 0 if eps = 0",
        "degree -1 if eps = 0",
        "degree 0",
    ]
    assert "cannot have both" in str(report)
    assert "cannot have both" in report._repr_html_()


def test_a_polyak_step_is_not_told_that_it_cannot_have_both():
    @nd.optimizer
    def polyak(beta: nd.Fraction = 0.9):
        norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.ema(nd.G * nd.G, beta)))
        return nd.W - nd.loss / norm.dual(nd.G) ** 2 * norm.sharp(nd.G)

    report = polyak.check(witnesses=False)
    assert (report["scale"].answer, report["loss_scale"].answer) == ("invariant", "invariant")
    assert report.notes == ["The step of polyak has degree 0."]


def test_a_step_of_terms_of_different_degrees_has_none():
    @nd.optimizer
    def mixed(lr=0.1):
        return nd.W - lr * (nd.G * nd.frobenius.value(nd.W) + nd.sign(nd.G))

    @nd.optimizer
    def relative(lr=0.1):
        return nd.W + lr * nd.frobenius.value(nd.W) * nd.frobenius.lmo(nd.G)

    assert mixed.check(witnesses=False).degrees == []
    assert [str(d) for d in relative.check(witnesses=False).degrees] == ["degree 0"]


def test_the_degree_of_a_step_is_measured_too():
    import torch

    for rule, degree in ((sgd, 1.0), (muon, 0.0)):
        run = nd.functional(rule, nd.exact)
        w = torch.zeros(3, 4, dtype=torch.float64)
        grad = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        one, _ = run.update(grad, run.init(w), w)
        two, _ = run.update(grad * 2, run.init(w), w)
        torch.testing.assert_close(two, one * 2**degree)


def test_a_conditional_verdict_shows_what_happens_otherwise():
    verdict = muadam_sania.check(nd.groups.scale)
    assert verdict.otherwise.experiment.hyper["eps"] != 0
    assert max(verdict.otherwise.replay()) > 1e-6
    assert "otherwise not: seed" in str(verdict)
    assert "Otherwise not" in verdict._repr_html_()


SIZE = nd.frobenius.value(W)


@pytest.mark.parametrize(
    ("update", "found"),
    [
        (nd.fix(lambda z: z - 0.1 * G, W), "degree 1"),
        (W - G * nd.fix(lambda s: nd.maximum(s, nd.frobenius.value(G)), SIZE), None),
        (W - G / nd.fix(lambda s: s + nd.sum(G * G), SIZE), None),
        (W - nd.fix(lambda s: s / 2 + G**3, W**3), None),
        (W - nd.sign(G) * nd.fix(lambda s: s, SIZE), "degree 0"),
    ],
    ids=["a sum", "a maximum", "a denominator", "another power", "a factor"],
)
def test_weights_in_the_start_of_a_state_are_no_part_of_a_sum_alone(update, found):
    """Where they are more than a summand the step has no degree: W does not grow with the loss."""
    degrees = nd.Declaration("probe", (), update).check(witnesses=False).degrees
    assert list(map(str, degrees)) == ([] if found is None else [found])


def test_a_step_that_knows_a_value_of_the_loss_is_not_made_of_gradients_alone():
    """f̂ G/‖G‖² is invariant under both groups, if f̂ is scaled along with the loss."""

    def rule(best: nd.LossValue = 0.5):
        return W - best * G / nd.sum(G * G)

    (degree,) = nd.optimizer(rule).check(witnesses=False).degrees
    assert not degree.gradient_only
    (plain,) = nd.Declaration("plain", (), W - G / nd.sum(G * G)).check(witnesses=False).degrees
    assert plain.gradient_only
