"""The sets that are timed, and how they are asked for."""

from math import prod

import pytest

import normdsl as nd
from normdsl.benchmarks.contestants import FIELDS
from normdsl.benchmarks.sets import BY_NAME, DEFAULT, chosen, give_gradients, parameters


def entries(name, matrices):
    return sum(map(prod, BY_NAME[name].shapes(matrices)))


@pytest.mark.parametrize(
    ("name", "tensors", "millions", "matrices", "hidden"),
    [
        ("gpt", 52, 13.97, 24, 10.62),
        ("small", 400, 0.832, 200, 0.819),
        ("wide", 8, 8.389, 8, 8.389),
        ("square", 4, 4.194, 4, 4.194),
        ("gpt-124m", 98, 124.4, 48, 84.93),
        ("gpt-0.9b", 130, 910.6, 64, 805.3),
    ],
)
def test_sizes(name, tensors, millions, matrices, hidden):
    assert (len(BY_NAME[name].shapes(False)), len(BY_NAME[name].shapes(True))) == (
        tensors,
        matrices,
    )
    assert entries(name, False) / 1e6 == pytest.approx(millions, rel=1e-3)
    assert entries(name, True) / 1e6 == pytest.approx(hidden, rel=1e-3)


def test_sets_are_chosen_by_name():
    assert [s.name for s in chosen(["wide", "small"], "cpu")] == ["wide", "small"]
    assert chosen([], "cuda") == chosen(["all"], "cuda")
    with pytest.raises(nd.NormdslError, match="did you mean square"):
        chosen(["sqare"], "cpu")
    with pytest.raises(nd.NormdslError, match="seconds each"):
        chosen(["gpt-0.9b"], "cpu")


def test_every_default_set_has_a_field():
    measured = {name for field in FIELDS for name in field.sets}
    assert measured == {name for names in DEFAULT.values() for name in names} == set(BY_NAME)


def test_parameters_are_equal_and_gradients_new():
    first, second = (parameters([(2, 3), (4,)], "cpu") for _ in range(2))
    assert all(p.equal(q) for p, q in zip(first, second, strict=True))
    give_gradients(first)
    before = first[0].grad
    give_gradients(first)
    assert not before.equal(first[0].grad)
