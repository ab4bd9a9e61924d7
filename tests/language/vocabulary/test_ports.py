"""Rules over several parameters as they are written: what is read, what is refused."""

from typing import Annotated, Any

import pytest
from properties import refuses

import normdsl as nd
from normdsl import G, W
from normdsl.vocabulary.ports import Parameter, matrix_of

A = Parameter(nd.Matrix("r", "n").port("A"))


def test_streams_have_the_shape_of_the_parameter():
    assert [str(x.shape) for x in (A.W, A.G, A.rows)] == ["r×n", "r×n", "scalar"]
    assert [str(x) for x in (A.W, A.G, A.rows, A.cols)] == ["A", "G_A", "r", "n"]
    assert A.G._repr_latex_() == r"$\displaystyle G_{A}$"
    assert str((A.W.T @ A.G).shape) == "n×n"


def test_a_column_has_one():
    gain = Parameter(nd.Matrix("d").port("gain"))
    assert str(gain.W.shape) == "d×1"
    assert str(gain.cols) == "1"


@pytest.mark.parametrize("letter", ["", "2", "a b", "**", 2, True, None])
def test_an_axis_is_a_letter_or_one(letter):
    with refuses(nd.DeclarationError, "axis", "no name of a space"):
        nd.Matrix(letter, "n")


def test_an_annotation_that_type_checkers_read_says_the_same():
    stated = nd.Matrix("r", "n")
    assert matrix_of(Annotated[Any, stated]) == matrix_of(stated) == stated
    assert matrix_of(nd.Positive) is None


def test_another_attribute_is_refused():
    with refuses(nd.DeclarationError, "read A.weight", "A.W are its weights"):
        A.weight  # noqa: B018


def declared(step):
    def rule(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
        return step(A, B, lr)

    return nd.optimizer(rule)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (lambda A, B, lr: A.W - lr * A.G, "not the new weights of A and B"),
        (lambda A, B, lr: (A.W - lr * A.G, 1), "not the new weights of A and B"),
        (lambda A, B, lr: (A.W - lr * A.G, lr * B.G), "do not depend on the weights B.W"),
        (lambda A, B, lr: (B.W - lr * B.G, A.W), "A is an r×n, and this is m×r"),
        (lambda A, B, lr: (A.W - lr * nd.inner(G, W) * A.G, B.W), "is that of a rule of one"),
        (lambda A, B, lr: (A.W - lr * A.G * nd.sum(nd.sum(B.G), over="layers"), B.W),
         "what layers share"),
        (lambda A, B, lr: (A.W - lr * nd.normal_like(A.G) * A.G, B.W), "a random array of its own"),
        (lambda A, B, lr: (A.W, B.W), "do not depend on the gradient"),
    ],
)  # fmt: skip
def test_what_is_refused(step, why):
    with pytest.raises(nd.NormdslError) as caught:
        declared(step)
    assert why in str(caught.value)
    assert "  try: " in str(caught.value)


def test_names_are_their_own():
    with pytest.raises(nd.DeclarationError, match="names of their own"):

        @nd.optimizer
        def rule(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), A_W=0.1):
            return A.W - A_W * A.G, B.W


def test_a_rule_over_one_is_written_the_same_way():
    @nd.optimizer
    def similar(W: nd.Matrix("n", "n"), lr=0.1):
        return W.W - lr * W.G

    assert [port.name for port in similar.ports] == ["W"]
    assert str(similar).splitlines()[-1] == "  W ← W − η G_W"


def test_text_json_and_fixed_hyper_parameters():
    rule = nd.algorithms.lora_rite
    assert nd.from_json(nd.to_json(rule)) == rule
    assert [x.split()[0] for x in str(rule).splitlines()[-2:]] == ["A", "B"]
    bound = rule.bind(beta1=0.0)
    assert bound.ports == rule.ports
    assert "beta1" not in bound.defaults


def test_a_gradient_is_fed_to_each():
    rule = nd.algorithms.scaled_gd.on_gradient(lambda g: nd.clip(g, 1.0))
    assert [name for name, _ in rule.names[:2]] == ["g_A", "g_B"]
    assert rule.check("gauge").answer == "not invariant"
    assert rule.check("orthogonal_gauge").answer == "invariant"
