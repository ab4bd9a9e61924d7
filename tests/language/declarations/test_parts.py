"""Parts: what a rule over several parameters is for one of them."""

import pytest
from properties import refuses

import normdsl as nd
from normdsl.expressions.shapes import MATRIX

RULE = nd.algorithms.scaled_gd


@nd.optimizer
def similar(W: nd.Matrix("n", "n"), lr=0.1):
    return W.W - lr * W.W @ nd.ema(W.G, 0.9).T @ W.W


@nd.optimizer
def sized(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
    pull = nd.eye_like(B.W.T @ B.W) / (A.rows * A.cols * B.rows)
    return A.W - lr * pull @ A.G, B.W - lr * B.G


def test_a_part_is_a_rule_of_one_matrix_that_reads_its_neighbours():
    down, up = RULE.part(0, m=7), RULE.part(1, n=9)
    assert down.update.shape == up.update.shape == MATRIX
    assert (down.asides, up.asides) == (("B_W",), ("A_W",))
    assert [str(x.shape) for x in (*down.neighbours, *up.neighbours)] == ["7×m", "n×9"]
    assert down.hyper == RULE.hyper
    assert down.partial
    assert down.ports == ()


def test_lengths_of_others_are_numbers_once_they_are_known():
    assert "7 m n" in str(sized.part(0, m=7))
    assert "B_W" not in sized.part(0, m=7).asides


def test_what_reads_no_other_parameter_is_an_ordinary_rule():
    assert not sized.part(1, n=4).partial
    assert sized.part(1, n=4).check("orthogonal", witnesses=False).answer == "invariant"


def test_a_square_parameter_is_square_in_its_part():
    part = similar.part(0)
    assert str(part.update.shape) == "m×m"
    assert part.asides == ()


@pytest.mark.parametrize("rule", [RULE.part(0, m=4), similar.part(0)])
def test_how_others_move_is_not_decided_by_a_part(rule):
    with refuses(nd.NormdslError, "check a part", "decided by the whole rule"):
        rule.check("scale")


def test_the_code_and_the_cost_are_those_of_all_parts():
    source = RULE.source((64, 32))
    assert source.startswith("# scaled_gd: A: 16 × 32, B: 64 × 16, with any batch in front.\n")
    cost = nd.algorithms.lora_muon.cost((64, 32))
    assert [s.name for s in cost.state] == ["A.down_buffer", "B.up_buffer"]
    assert cost.state_bytes == 4 * 16 * (32 + 64)
    assert cost.evaluations == 1


def test_passes_are_those_of_a_part():
    with refuses(nd.DeclarationError, "passes", "part(0)"):
        RULE.passes()
    assert "S⁻¹" in str(RULE.bind(damping=0.0).part(0).passes()["derive"])
