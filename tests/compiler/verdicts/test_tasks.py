"""Tasks: a layer's moments are those of its gradient, and a twin's those of its own layer."""

import pytest
import torch

from normdsl.compiler.invariance import groups as g
from normdsl.compiler.verdicts.elements import draw
from normdsl.compiler.verdicts.tasks import Task, layered

SHAPE, COUNT = (3, 4), 9
X = torch.randn(4, COUNT, generator=torch.Generator().manual_seed(0)).double()
Y = torch.randn(3, COUNT, generator=torch.Generator().manual_seed(1)).double()
START = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2)).double()


def gradient(loss, w):
    w = w.detach().requires_grad_()
    return torch.autograd.grad(loss(w), w)[0]


def at_outputs(y):
    return 1 + (y - Y).pow(4).sum() / COUNT


def moments(w, step):
    rows = COUNT * gradient(at_outputs, w @ X)
    return {"input_moment": X @ X.mT / COUNT, "output_moment": rows @ rows.mT / COUNT}


LAYER = Task(START, lambda w, step: at_outputs(w @ X), moments)


def twin_layer(group, element, step):
    """Return x̃ and f̃ as a function of ỹ, written out from W x = (P W̃ Qᵀ) x = P (W̃ (Qᵀ x))."""
    w = group.weights
    P, Q = element._matrix(w.rows, 3), element._matrix(w.cols, 4)
    factor = element.c ** float(group.loss_unit)

    def loss(y):
        value = at_outputs(element.c**group.weight_unit * P @ y)
        changed = value ** (1 + 0.3 * step) / factor - 3 * (step + 1)
        return changed if group.each_step else value / factor

    return Q.mT @ X, loss


MATRICES = [x for x in g.ALL if x.entries is None and not x.shift and not x.swap]


@pytest.mark.parametrize("group", MATRICES, ids=str)
@pytest.mark.parametrize("step", [0, 2])
def test_the_twin_has_the_moments_of_its_own_layer(group, step):
    element = draw(group, SHAPE, 0)
    twin = LAYER.reparametrised(group, element)
    inputs, loss = twin_layer(group, element, step)
    rows = COUNT * gradient(loss, twin.start @ inputs)
    seen = twin.moments(twin.start, step)
    torch.testing.assert_close(seen["input_moment"], inputs @ inputs.mT / COUNT)
    torch.testing.assert_close(seen["output_moment"], rows @ rows.mT / COUNT)
    through = gradient(lambda w: twin.loss(w, step), twin.start)
    torch.testing.assert_close(through, rows @ inputs.mT / COUNT)


@pytest.mark.parametrize("group", [g.scale, g.sign_flips, g.permutations, g.translation], ids=str)
def test_weights_changed_before_the_layer_sees_them_leave_its_moments(group):
    twin = LAYER.reparametrised(group, draw(group, SHAPE, 0))
    for name, value in twin.moments(twin.start, 0).items():
        torch.testing.assert_close(value, moments(START, 0)[name])


def test_a_transposed_layer_runs_backwards():
    twin = LAYER.reparametrised(g.transpose, draw(g.transpose, SHAPE, 0))
    seen, ours = twin.moments(START.mT, 0), moments(START, 0)
    torch.testing.assert_close(seen["input_moment"], ours["output_moment"])
    torch.testing.assert_close(seen["output_moment"], ours["input_moment"])


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (1, 5)])
def test_the_layered_problem_is_smooth_steep_and_of_full_rank(shape):
    task = layered(shape, 0)
    for step in range(3):
        seen = task.moments(task.start, step)
        A, S = seen["input_moment"], seen["output_moment"]
        assert A.shape == (shape[1],) * 2
        assert S.shape == (shape[0],) * 2
        assert torch.linalg.eigvalsh(A)[0] > 1e-3 * A.trace()
        assert torch.linalg.eigvalsh(S)[0] > 1e-6 * S.trace()
        slope = gradient(lambda w, k=step: task.loss(w, k), task.start)
        inner = torch.linalg.solve(S, slope) @ torch.linalg.inv(A)
        assert 0 < (inner * slope).sum() < min(shape) + 1e-9  # E over rows ≤ the rank of G
    assert not torch.allclose(task.moments(task.start, 0)["input_moment"], A)


def test_the_layered_problem_has_no_symmetry_a_rule_could_hide_behind():
    task = layered((3, 4), 0)
    w = task.start
    for moved in (-w, w.flip(0), w.flip(1), 2 * w, w + 1):
        assert (task.loss(w, 0) - task.loss(moved, 0)).abs() > 1e-3
