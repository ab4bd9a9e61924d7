"""The table of what our optimizers refuse, or do otherwise, in suites that others wrote."""

import re
from fnmatch import fnmatchcase

import attrs

from normdsl.errors import NormdslError
from suites.ours import RULES, name

EVERY = RULES
MATRIX = tuple(r for r in RULES if r != "adamw")


@attrs.frozen
class Expected:
    """Tests that fail, and why.

    Args:
        test: pattern of the name of the test, as in fnmatch, without its file.
        reason: why it fails.
        rules: which rules fail it.
        raises: how: an error of ours, or the assertion of the test.
    """

    test: str
    reason: str
    rules: tuple[str, ...] = EVERY
    raises: type[Exception] = NormdslError


TABLE: tuple[Expected, ...] = ()

_NAMES = {name(rule): rule for rule in RULES}
_OURS = re.compile(r"(ours[a-z]+?)(?=$|[^a-z])", re.IGNORECASE)


def rule_of(test):
    """Return the rule that a test is about, by its name; none if it is about none of ours."""
    found = {_NAMES[w] for w in _OURS.findall(test) if w in _NAMES}
    return found.pop() if len(found) == 1 else None


def expected(test):
    """Return the entries of the table for a test."""
    rule, short = rule_of(test), test.split("::", 1)[-1]
    return [e for e in TABLE if rule in e.rules and fnmatchcase(short, e.test)]
