"""Names of tests, the table of what is expected to fail, and what is read from a run."""

import pytest

from suites import expected, run
from suites.results import Result, results

CASE = '<testcase classname="tests.test_x{}" name="{}">{}</testcase>'
CASES = (
    ("", "test_a[oursmuon]", ""),
    (".TestB", "test_b[ourskl-1]", ""),
    (".TestB", "test_b[oursklshampoo-1]", '<skipped type="pytest.xfail"/>'),
    ("", "test_c[oursadamw]", '<skipped type="pytest.skip"/>'),
    ("", "", '<error message="collection failure"/>'),
    ("", "test_d[oursadamw]", '<failure message="[XPASS(strict)]"/>'),
)
REPORT = "<testsuites>" + "".join(CASE.format(*c) for c in CASES) + "</testsuites>"


def test_the_rule_of_a_test_is_read_off_its_name():
    assert expected.rule_of("test_b[oursklshampoo-float32]") == "kl_shampoo"
    assert expected.rule_of("test_b_oursmuon_cpu_float32") == "muon"
    assert expected.rule_of("test_b[oursadamw-oursmuon]") is None
    assert expected.rule_of("test_ours_of_course") is None


def test_an_entry_is_about_its_rules_alone():
    complex_ones = "TestComplexParameters::test_complex_not_supported[{}]"
    assert [e.raises for e in expected.expected(complex_ones.format("oursmuon"))]
    assert not expected.expected(complex_ones.format("oursadamw"))
    assert not expected.expected("test_something_else[oursmuon]")


def test_a_run_is_read_from_its_report(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    assert results(tmp_path / "report.xml") == [
        Result("test_a[oursmuon]", "muon", "passed"),
        Result("TestB::test_b[oursklshampoo-1]", "kl_shampoo", "expected"),
        Result("test_c[oursadamw]", "adamw", "skipped"),
        Result("", None, "failed"),
        Result("test_d[oursadamw]", "adamw", "failed"),
    ]


@pytest.mark.parametrize("entry", expected.TABLE, ids=lambda e: e.test)
def test_the_document_has_every_entry(entry):
    text = run.DOCUMENT.read_text()
    assert f"`{entry.test}`" in text
    assert entry.reason in text


def test_an_entry_without_a_test_is_noticed():
    assert run.unused({"a suite": []}) == list(expected.TABLE)
