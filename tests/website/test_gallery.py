"""The gallery says of a rule what it is, what was decided, and what its steps are."""

import re

import pytest
import torch
from website import gallery, picture

import normdsl as nd
from normdsl.compiler.invariance.verdict import Status

A = nd.algorithms


@pytest.mark.parametrize("rule", [A.muon, A.scaled_gd], ids=lambda r: r.name)
def test_the_groups_listed_as_invariant_are_those_that_are_proved(rule):
    rows = gallery.answers(rule).splitlines()
    listed = next(set(re.findall(r"`(\w+) <", row)) for row in rows if "[invariant]{" in row)
    report = rule.check(witnesses=False)
    assert listed == {v.group.name for v in report if v.answer == "invariant"}
    assert {v.status for v in report} > {Status.INVARIANT}


def test_the_source_is_the_declaration_without_its_docstring():
    text = gallery.source(A.lion)
    assert text.startswith("@nd.optimizer\ndef lion(")
    assert '"""' not in text
    namespace = {"nd": nd, "G": nd.G, "W": nd.W}
    exec(compile(text.replace("@nd.optimizer\n", ""), "<page>", "exec"), namespace)
    assert nd.optimizer(namespace["lion"]) == A.lion


def test_a_picture_shows_the_way_that_steps_go():
    down, change = picture.moved(A.sgd)
    torch.testing.assert_close(change / change.norm(), down / down.norm(), atol=0.01, rtol=0)
    signs = picture.moved(A.sign_sgd)[1]
    torch.testing.assert_close(signs, A.sign_sgd.defaults["lr"] * picture.STEPS * down.sign())
    # Five steps along nearly one gradient: all singular values are nearly equal.
    sizes = torch.linalg.svdvals(picture.moved(A.muon)[1])
    assert sizes.min() > 0.95 * sizes.max()


def test_colours_say_the_sign_and_their_strength_the_size():
    boxes = picture._half(torch.tensor([[2.0, -1.0], [0.0, 2.0]], dtype=torch.float64), 0)[:4]
    assert [picture.UP in b for b in boxes] == [True, False, False, True]
    assert [re.search(r'opacity="(.*?)"', b)[1] for b in boxes] == ["1.00", "0.50", "0.00", "1.00"]
