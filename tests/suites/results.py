"""What came of a run of pytest, from its JUnit file."""

from xml.etree import ElementTree

import attrs

from suites.expected import rule_of


@attrs.frozen
class Result:
    """A test of one of our rules: passed, expected (to fail, and did), skipped or failed.

    Of files that could not be read, `rule` is None.
    """

    test: str
    rule: str | None
    outcome: str


def results(report):
    """Return the results in a JUnit file: tests of our rules, and whatever else failed."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    found = [Result(_test(c), rule_of(_test(c)), _outcome(c)) for c in cases]
    return [r for r in found if r.rule or r.outcome == "failed"]


def _test(case):
    """Return the name of a test without its file, as in pytest: Class::function[case]."""
    last = case.get("classname", "").rpartition(".")[2]
    within = [last] if last[:1].isupper() else []
    return "::".join([*within, case.get("name", "")])


def _outcome(case):
    """Return what came of a test; a file that could not be read is an error of pytest's own."""
    kinds = {child.tag: child for child in case}
    if kinds.keys() & {"failure", "error"}:
        return "failed"
    if "skipped" in kinds:
        return "expected" if kinds["skipped"].get("type") == "pytest.xfail" else "skipped"
    return "passed"
