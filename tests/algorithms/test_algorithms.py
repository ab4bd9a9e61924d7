"""Every shipped rule against its literal loop; ten lines; JSON; display."""

import ast
import inspect
from pathlib import Path

import pytest
from references import REFERENCES
from references.curvature import CURVATURE
from references.problems import CASES, INSTEAD, STEPS, cases_of, run_loop, run_optimizer, worst
from references.settings import SETTINGS
from taking_turns import CORE, OTHERS, PAIRED, in_turn

import normdsl as nd
from normdsl import algorithms as a
from normdsl.cli.find import shipped

TOLERANCE = 1e-9
#: Compared with what its hooks see, and on layers that the loss couples, in tests of their own.
#: Rules over pairs are compared with loops of theirs, in test_pairs.
ELSEWHERE = {"kfac", *CURVATURE, *PAIRED}
COMPARED = sorted(set(shipped()) - ELSEWHERE)
#: Each rule in one case by its settings, in the next by its defaults, in a third not at all, and so
#: that each case has rules of all kinds; of the rules that take turns, each in one case and one.
#: `make parity` compares all by their settings.
PAIRS = [(name, k, j, case) for k, name in enumerate(COMPARED)
         for j, case in enumerate(cases_of(name))]  # fmt: skip


def chosen(turn):
    """The pairs of a rule and a case that have one of the turns."""
    often = [(n, c) for n, k, j, c in PAIRS if n in CORE and (j + k) % 3 == turn]
    once = [
        (n, c) for n, k, j, c in PAIRS if n in OTHERS and j == (k + 3 * turn) % len(cases_of(n))
    ]
    return often + once


def steps(name):
    """How long a rule is compared here; `make parity` does so over all steps."""
    return STEPS if name in CORE else 40


BY_SETTINGS, BY_DEFAULTS = chosen(0), chosen(1)


def test_every_rule_has_a_reference_and_every_reference_a_rule():
    assert set(shipped()) == set(a.__all__)
    assert set(COMPARED) == set(REFERENCES) == set(SETTINGS)
    assert STEPS == 100


def test_a_rule_that_misses_cases_says_which_and_why():
    assert set(INSTEAD) <= set(REFERENCES)
    for cases, why in INSTEAD.values():
        assert cases
        assert cases is not CASES
        assert len(why) > 80


@pytest.mark.parametrize(("name", "case"), BY_SETTINGS, ids=lambda x: getattr(x, "name", x))
def test_trajectories_equal_a_literal_loop(name, case):
    rule, hyper = shipped()[name], SETTINGS[name]
    ours = run_optimizer(lambda p: rule(p, **hyper), case, steps(name), loss=True)
    assert worst(ours, run_loop(REFERENCES[name], case, steps(name), **hyper)) <= TOLERANCE


@pytest.mark.parametrize(("name", "case"), BY_DEFAULTS, ids=lambda x: getattr(x, "name", x))
def test_trajectories_equal_a_literal_loop_by_their_defaults(name, case):
    """Small eps amplify rounding: SOAP's first step divides zeros, up to rounding, by 1e-8."""
    ours = run_optimizer(lambda p: shipped()[name](p), case, steps(name), loss=True)
    assert worst(ours, run_loop(REFERENCES[name], case, steps(name))) <= 10 * TOLERANCE


@pytest.mark.parametrize("name", COMPARED)
def test_hyper_parameters_and_defaults_are_those_of_the_literal_loop(name):
    keywords = inspect.signature(REFERENCES[name]).parameters.values()
    asked = {"loss", "ask"}
    literal = {
        k.name: k.default for k in keywords if k.kind is k.KEYWORD_ONLY and k.name not in asked
    }
    assert shipped()[name].defaults == literal


@pytest.mark.parametrize("name", COMPARED)
def test_comparisons_exercise_every_hyper_parameter(name):
    defaults = shipped()[name].defaults
    assert set(SETTINGS[name]) == set(defaults)
    for key, value in SETTINGS[name].items():
        assert value not in (0, defaults[key]), key


@pytest.mark.parametrize("rule", shipped().values(), ids=lambda r: r.name)
def test_a_rule_is_at_most_ten_lines_of_code(rule):
    for path in Path(a.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == rule.name:
                code = node.body[1:]  # the first is the docstring
                assert sum(n.end_lineno - n.lineno + 1 for n in code) <= 10
                assert "arXiv" in rule.doc or "et al." in rule.doc or rule.name.startswith("sgd")
                return
    raise AssertionError(f"{rule.name} was not found")


@pytest.mark.parametrize("rule", in_turn(3).values(), ids=lambda r: r.name)
def test_a_rule_survives_json_and_is_shown(rule):
    again = nd.from_json(nd.to_json(rule))
    assert again == rule
    assert str(again) == str(rule)
    assert again._repr_latex_() == rule._repr_latex_()
    assert again.source(shape=(2, 3)) == rule.source(shape=(2, 3))
