"""docs/rules.md has every rule, and says of what is proved what the declarations say today."""

import pytest
import rules_doc
from taking_turns import in_turn

from normdsl.cli.find import families, shipped
from normdsl.compiler.invariance.verdict import Status

WRITTEN = rules_doc.PAGE.read_text()
ROWS = {line.split("`")[1]: line for line in WRITTEN.splitlines() if line.startswith("| `")}
#: Each run decides a part of the rules anew; witnesses are for the tests of verdicts.
DECIDED = sorted(set(in_turn(5)) - set(in_turn(6)))


def test_every_rule_is_in_the_section_of_its_family():
    assert set(ROWS) == set(shipped())
    for name, rules in families().items():
        title = name.splitlines()[0].partition(": ")[0].rstrip(".")
        section = WRITTEN.partition(f"## {title}\n")[2].partition("\n## ")[0]
        for rule in rules.values():
            assert rules_doc.described(rule) in section
            assert ROWS[rule.name] in section


@pytest.mark.parametrize("name", sorted(shipped()))
def test_costs_are_those_of_today(name):
    assert ROWS[name].split(" | ")[1:3] == rules_doc.cost(shipped()[name])


@pytest.mark.parametrize("name", DECIDED)
def test_verdicts_are_those_of_today(name):
    marks = ROWS[name].strip(" |").split(" | ")[3:]
    for verdict, written in zip(shipped()[name].check(witnesses=False), marks, strict=True):
        unproved = verdict.status is Status.UNKNOWN
        if not unproved and written != rules_doc.mark(verdict):  # in a limit at which a step jumps
            verdict = shipped()[name].check(verdict.group)
        assert written in ("no", "?") if unproved else written == rules_doc.mark(verdict)
