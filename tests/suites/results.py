"""What came of a run of pytest, from its JUnit file."""

from xml.etree import ElementTree

import attrs

from suites.expected import rule_of


@attrs.frozen
class Result:
    """A test of one of our rules: passed, expected (to fail, and did), skipped or failed."""

    test: str
    rule: str
    outcome: str


def results(report):
    """Return the results in a JUnit file, of tests about our rules; others are left out."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    found = [(_test(case), _outcome(case)) for case in cases]
    return [Result(test, rule_of(test), outcome) for test, outcome in found if rule_of(test)]


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
