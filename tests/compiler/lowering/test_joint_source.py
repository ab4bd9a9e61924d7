"""The source of rules over several parameters runs by itself, and steps as the optimizer does."""

import pytest
import torch
from taking_turns import PAIRED

import normdsl as nd

SHAPE = (4, 5)
SHAPES = {"A": (2, 5), "B": (4, 2)}


def factors():
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=draw, dtype=torch.float64) for s in SHAPES.values()]


@pytest.mark.parametrize("name", PAIRED)
def test_the_code_steps_as_the_optimizer_does(name):
    rule, space = PAIRED[name], {}
    exec(rule.source(SHAPE, nd.exact), space)
    now, hyper = factors(), rule.defaults
    states = [space[f"init_{k}"](x, **hyper) for k, x in zip(SHAPES, now, strict=True)]
    params = [torch.nn.Parameter(x.clone()) for x in now]
    opt = rule([tuple(params)], schedule=nd.exact)
    for step in range(1, 4):
        grads = [x.sin() + 0.1 * step for x in now]
        told = [x for pair in zip(now, grads, strict=True) for x in pair]
        found = space["step"](*told, *states, t=torch.tensor(float(step)), **hyper)
        (now, states) = ([x[0] for x in found], [x[1:] for x in found])
        for p, g in zip(params, grads, strict=True):
            p.grad = g.clone()
        opt.step()
        torch.testing.assert_close([p.detach() for p in params], now)


def test_functions_of_each_have_its_name_and_kernels_are_pasted_once():
    code = PAIRED["lora_muon"].source(SHAPE)
    for told in (
        "def step(A_W, A_G, B_W, B_G, states_A, states_B, *",
        "def arrays_A(",
        "numbers_B(W",
    ):
        assert told in code
    assert code.count("import torch\n") == code.count("def root_automatic(") == 1


@nd.optimizer
def dropped(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
    """A step by chance."""
    return A.W - lr * nd.mask(0.5) * A.G, B.W - lr * B.G


def test_random_numbers_are_those_of_a_parameter():
    code = dropped.source(SHAPE)
    assert "stream=stream_A, places=places_A" in code
    assert "step_B(B_W, B_G, *states_B, t=t, loss=loss, lr=lr)" in code
