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


TABLE: tuple[Expected, ...] = (
    Expected(
        "TestBasicParameterValidation::test_learning_rate*",
        "refused, by HyperparameterError, a ValueError; the suite asks for a class of its package",
    ),
    Expected(
        "TestSparseGradients::test_sparse_not_supported*",
        "refused, by GradientError, a ValueError; the suite asks for a RuntimeError",
    ),
    Expected(
        "TestComplexParameters::test_complex_not_supported*",
        "refused already when it is constructed; the suite asks for an error of the first step",
        rules=MATRIX,
    ),
    Expected(
        "test_optimizer_zero_lr*-False*",
        "the suite sets the rate of the first group only, which holds the matrices, not vectors",
        rules=MATRIX,
        raises=AssertionError,
    ),
    Expected(
        "test_optimizer_zero_lr*-True*",
        "the suite writes into one tensor, given as the rate of two groups; the second has a copy",
        raises=AssertionError,
    ),
    Expected(
        "test_optimizer_tensor_lr*",
        "the suite writes into one tensor, given as the rate of two groups; the second has a copy",
        raises=AssertionError,
    ),
    Expected(
        "test_optim_factory[[]*",
        "gradients have rank one, so a float32 state that goes on in float64 has the rank of its "
        "rounding errors, to which exact polar factors and eigenbases answer",
        rules=("muon", "muadam_sania"),
        raises=AssertionError,
    ),
)

_NAMES = {name(rule): rule for rule in RULES}
_OURS = re.compile(r"ours[a-z]+")


def rule_of(test):
    """Return the rule that a test is about, by its name; none if it is about none of ours."""
    found = {_NAMES[w] for w in _OURS.findall(test) if w in _NAMES}
    return found.pop() if len(found) == 1 else None


def expected(test):
    """Return the entries of the table for a test, named without its file: Class::function[case]."""
    rule = rule_of(test)
    return [e for e in TABLE if rule in e.rules and fnmatchcase(test, e.test)]
