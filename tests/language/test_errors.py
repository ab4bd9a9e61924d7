"""The one error: four parts, in order, and every refusal derives from it."""

import inspect

import numpy as np
import pytest
from properties import assert_four_parts

import normdsl as nd
from normdsl import G, W, errors
from normdsl.source import Operands, Where

ALL = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if not issubclass(cls, Warning)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_a_normdsl_error_and_public(kind):
    assert issubclass(kind, nd.NormdslError)
    assert issubclass(kind, ValueError)
    assert getattr(nd, kind.__name__) is kind


def test_message_without_an_expression():
    error = nd.NormdslError("divide by zero", why="1/0 is undefined", hint="add eps")
    assert str(error) == "divide by zero\n  why: 1/0 is undefined\n  try: add eps"
    assert_four_parts(error)


def test_message_names_expression_and_source_line():
    at = 2 * G
    error = nd.NormdslError("ask", why="because", hint="do", at=at)
    head, place, line, why, hint = str(error).split("\n")
    assert (head, place, why, hint) == ("ask", "  at:  2 G", "  why: because", "  try: do")
    assert "test_errors.py:" in line
    assert line.endswith("at = 2 * G")
    assert_four_parts(error)


def test_parts_can_be_read():
    error = nd.ShapeError("ask", why="because", hint="do", at=W)
    assert (error.asked, error.why, error.hint, error.at) == ("ask", "because", "do", W)


def test_an_input_at_fault_still_has_a_source_line():
    """`nd.sqrt(G)` is the likeliest mistake of all; G itself was written nowhere."""
    with pytest.raises(nd.DomainError) as caught:
        nd.sqrt(G)
    assert_four_parts(caught.value)
    assert "nd.sqrt(G)" in str(caught.value)


def test_a_message_stays_readable_for_a_large_expression():
    """Shared sub-expressions make the written formula exponentially long."""
    x = G
    for _ in range(14):
        x = x + x
    with pytest.raises(nd.DomainError) as caught:
        nd.sqrt(x)
    assert len(str(caught.value)) < 5000


def test_a_message_can_be_written_for_a_deep_expression():
    x = G
    for k in range(1, 100):
        x = x + k * W
    with pytest.raises(nd.DomainError):
        nd.sqrt(x)


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "None"), ("x", "a str"), (1, "an int"), (np.ones(1), "an ndarray"), ([], "a list")],
)
def test_what_a_value_is(value, words):
    assert errors.kind(value) == words


@pytest.mark.parametrize("shape", ["m×n", "n×m", "m×m"])
def test_letters_of_shapes_have_the_article_that_one_hears(shape):
    assert errors.with_article(shape) == f"an {shape}"
    assert errors.with_article("1×n") == "a 1×n"
    assert errors.with_article("scalar") == "a scalar"


def test_a_value_is_shown_on_one_short_line():
    assert errors.shown("x") == "'x'"
    long = errors.shown(np.zeros((30, 30)))
    assert "\n" not in long
    assert len(long) < 70


def test_operands_are_shown_with_their_line_once():
    at = Operands(G, W, Where("rule.py", 3))
    message = str(nd.ShapeError("join", why="because", hint="do", at=at))
    assert message.startswith("join\n  at:  G  and  W\n       rule.py:3\n  why")
