"""Where states lie: in the parameter's own shape, per matrix, per piece."""

import pytest
import torch

import normdsl as nd
from normdsl.algorithms import adamw, muon, shampoo
from normdsl.compiler.layouts.layout import STEP, layout
from normdsl.compiler.layouts.stepper import stepper


def of(rule, shape, view=None):
    return layout(stepper(rule, nd.Schedule()), torch.zeros(shape), view)


def shapes(own):
    return {key: size for field in own.fields for key, size in own.stored(field).items()}


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
def test_states_of_the_weights_shape_have_the_parameters(shape):
    assert set(shapes(of(adamw, shape)).values()) == {shape}


def test_factors_are_kept_for_each_matrix_and_piece():
    assert shapes(of(shampoo, (4, 3))) == {"L": (4, 4), "R": (3, 3)}
    assert shapes(of(shampoo, (5, 4, 3), nd.views.stack)) == {"L": (5, 4, 4), "R": (5, 3, 3)}
    split = of(shampoo, (6, 3), nd.views.split(2, 2, 1, 1))
    assert shapes(split) == {
        "L[0]": (2, 2, 2),
        "L[1]": (2, 1, 1),
        "R[0]": (2, 3, 3),
        "R[1]": (2, 3, 3),
    }


@pytest.mark.parametrize("view", [nd.views.stack, nd.views.flat, nd.views.split(3, 1, 1)])
@pytest.mark.parametrize("rule", [adamw, shampoo], ids=lambda r: r.name)
def test_what_is_written_is_what_is_read(rule, view):
    own = of(rule, (5, 4, 3), view)
    state, cpu = {STEP: torch.zeros(())}, torch.device("cpu")
    assert own.begins({}, cpu)
    for field in own.fields:
        with pytest.raises(nd.GradientError, match="not all that the rule keeps"):
            own.begins(state, cpu)
        pieces = [torch.randn(b, *field.lengths((m, n))) for b, m, n in own.sizes]
        state.update(own.write(field, pieces))
        read = own.read(state, field)
        assert all(torch.equal(x, y) for x, y in zip(read, pieces, strict=True))
    assert not own.begins(state, cpu)


def test_a_matrix_rule_asks_how_a_tensor_is_seen():
    with pytest.raises(nd.GradientError, match=r"nd\.route"):
        of(muon, (2, 3, 4))
    assert of(muon, (2, 3, 4), nd.views.flat).sizes == ((1, 2, 12),)
    assert of(muon, (2, 3, 4), nd.views.stack).sizes == ((2, 3, 4),)


@pytest.mark.parametrize("dtype", [torch.long, torch.bool])
def test_parameters_are_real_numbers(dtype):
    with pytest.raises(nd.GradientError, match="real numbers"):
        layout(stepper(adamw, nd.Schedule()), torch.zeros(2, 2, dtype=dtype))
