"""Steps on batches: views, dtypes, and states of every shape."""

import pytest
import torch

import normdsl as nd
from normdsl import G, W
from normdsl.algorithms import adamw, muon
from normdsl.compiler.layouts.layout import layout
from normdsl.compiler.layouts.stepper import stepper


def test_vectors_and_tensors_become_matrices_for_entrywise_rules():
    step = stepper(adamw, nd.Schedule())
    assert not step.matrix_only
    for shape, view in (((), (1, 1)), ((3,), (3, 1)), ((2, 3), (2, 3)), ((2, 3, 4), (2, 12))):
        assert layout(step, torch.zeros(shape)).sizes == ((1, *view),)


def test_matrix_rules_are_known_by_their_operations():
    assert stepper(muon, nd.Schedule()).matrix_only


@pytest.mark.parametrize(
    ("schedule", "param", "kept"),
    [
        (nd.Schedule(), torch.bfloat16, torch.float32),
        (nd.Schedule(), torch.float64, torch.float64),
        (nd.exact, torch.float32, torch.float64),
        (nd.Schedule(dtype="float32"), torch.float64, torch.float32),
    ],
)
def test_the_dtype_of_the_computation(schedule, param, kept):
    assert stepper(adamw, schedule).dtype(torch.zeros(1, dtype=param)) == kept


def test_states_may_be_scalars_rows_columns_and_constants():
    @nd.optimizer
    def mixed(lr=0.1):
        row, column = nd.ema(nd.sum(G, over="rows"), 0.5), nd.ema(nd.sum(G, over="cols"), 0.5)
        number = nd.accumulate(nd.inner(G, G)) + nd.prev(nd.loss) + nd.accumulate(lr)
        ones = nd.prev(nd.zeros_like(G) + 1)
        return W - lr * (G + row + column + number + ones)

    params = [torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2)]
    opt = mixed(params)
    for _ in range(2):
        for p in params:
            p.grad = torch.ones(2, 3)
        opt.step(loss=2.0)
    shapes = sorted(tuple(s.shape) for k, s in opt.state[params[0]].items() if k != "step")
    assert shapes == sorted([(1, 3), (2, 1), (1, 1), (1, 1), (1, 1), (2, 3)])
    first = 1 - 0.1 * (1 + 1 + 1.5 + (6 + 0 + 0.1) + 0)
    second = first - 0.1 * (1 + 1.5 + 2.25 + (12 + 2 + 0.2) + 1)
    torch.testing.assert_close(params[1].detach(), torch.full((2, 3), second))


@pytest.mark.parametrize(
    "step",
    [
        G * nd.reciprocal(nd.sqrt(nd.sum(G * G, over="rows"))),
        nd.max(nd.abs(G), over="cols") * G,
        nd.block_mean(G, rows=1, cols=2),
        nd.row_norm(nd.lp(2), nd.lp(1)).lmo(G),
        nd.top_entries(2).lmo(G) + nd.sum(nd.ema(G, 0.5), over="cols"),
    ],
    ids=["columns", "rows", "blocks", "a norm of rows", "a state of rows"],
)
@pytest.mark.parametrize("param", [torch.ones(3), torch.ones(2, 2, 2), torch.ones(2, 2) + 0j])
def test_what_needs_rows_and_columns_takes_matrices_alone(step, param):
    rule = nd.Declaration("rule", (), W - step)
    assert stepper(rule, nd.Schedule()).matrix_only
    with pytest.raises(nd.GradientError):
        rule([torch.nn.Parameter(param)])


@pytest.mark.parametrize(
    "step", [G / nd.sqrt(nd.sum(G * G)), nd.frobenius.lmo(G), nd.top_entries(2).lmo(G)]
)
def test_what_needs_all_entries_takes_every_shape(step):
    assert not stepper(nd.Declaration("rule", (), W - step), nd.Schedule()).matrix_only
