"""One step of the tensors of a tree."""

import pytest
import torch

import normdsl as nd
from normdsl.algorithms import adamw, shampoo
from normdsl.compiler.batches import running
from normdsl.compiler.layouts.stepper import stepper
from normdsl.compiler.runtime import pure
from normdsl.errors import FactorisationError


@pytest.mark.parametrize(
    ("shape", "lengths"),
    [((), (1, 1)), ((3,), (3, 1)), ((3, 2), (3, 2)), ((4, 3, 2), (4, 6)), ((0, 2), (0, 2))],
)
def test_rows_and_columns_of_a_tensor(shape, lengths):
    assert pure.size(torch.ones(shape)) == lengths


def test_a_complex_tensor_is_pairs():
    z = torch.ones(3, 2, dtype=torch.cfloat)
    assert pure.size(z) == (3, 4)
    assert pure.matrix(z.conj(), (3, 4)).shape == (1, 3, 4)


def leaves(run, *params):
    return [pure.Leaf(p, torch.ones_like(p), pure.started(run, p, adamw.defaults), {})
            for p in params]  # fmt: skip


def test_tensors_of_equal_size_step_as_one_batch_and_large_ones_alone(monkeypatch):
    run, sizes = stepper(adamw, nd.Schedule()), []
    given = leaves(
        run, torch.ones(3, 2), torch.ones(3), torch.ones(3, 2), torch.ones(3, 2).double()
    )
    real = running.step
    monkeypatch.setattr(
        running,
        "step",
        lambda stepper, x, known: sizes.append(len(x.weights)) or real(stepper, x, known),
    )
    context = pure.Context(torch.ones(()), None, adamw.defaults, 0)
    pure.stepped(run, given, context)
    assert sizes == [2, 1, 1]
    monkeypatch.setattr(pure, "STACKED_UP_TO", 2)
    sizes.clear()
    pure.stepped(run, given, context)
    assert sizes == [1, 1, 1, 1]


def test_states_have_the_shapes_and_dtypes_in_which_they_are_kept():
    run = stepper(shampoo, nd.Schedule(state="bfloat16"))
    param = torch.ones(3, 2)
    start = pure.started(run, param, shampoo.defaults)
    leaf = pure.Leaf(param, torch.ones(3, 2), start, {})
    ((value, after),) = pure.stepped(run, [leaf], pure.Context(torch.ones(()), None,
                                                               shampoo.defaults, 0))  # fmt: skip
    assert value.dtype is torch.float32
    assert [(x.shape, x.dtype) for x in after] == [(x.shape, x.dtype) for x in start]
    assert {x.dtype for x in start} == {torch.bfloat16}


def test_a_factorisation_that_fails_for_its_gradient_says_so(monkeypatch):
    def fail(*_):
        raise FactorisationError("factor", why="no", hint="none")

    run = stepper(adamw, nd.Schedule())
    (good,) = leaves(run, torch.ones(2))
    bad = good._replace(grad=torch.full((2,), torch.nan))
    monkeypatch.setattr(running, "step", fail)
    context = pure.Context(torch.ones(()), None, adamw.defaults, 0)
    with pytest.raises(nd.GradientError, match="the gradient of a parameter of shape"):
        pure.stepped(run, [good, bad], context)
    with pytest.raises(FactorisationError):
        pure.stepped(run, [good], context)
