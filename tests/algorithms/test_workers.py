"""Rules of workers against literal loops of three of them, and a mean that one worker has."""

import pytest
import torch
from references import REFERENCES
from references.problems import CASES, worst
from references.settings import SETTINGS

import normdsl as nd
from normdsl.cli.find import shipped

WORKERS, STEPS = 3, 20
AVERAGING = {name: rule for name, rule in shipped().items() if rule.averages}
TOLERANCE = 1e-9


def slopes(case, ws, t):
    """The gradient of each worker at its weights, on a sample of its own."""
    return [case.grad(w, 3 * t + k) for k, w in enumerate(ws)]


def literally(name, case, **hyper):
    ws, states, path = [case.start] * WORKERS, [{} for _ in range(WORKERS)], []
    for t in range(1, STEPS + 1):
        ws = REFERENCES[name].of_many(ws, slopes(case, ws, t), t, states, **hyper)
        path.append(torch.stack(ws))
    return path


def simulated(rule, case, **hyper):
    run = nd.simulate(rule, WORKERS, schedule=nd.exact)
    ws = run.copies(case.start)
    state, path = run.init(ws, **hyper), []
    for t in range(1, STEPS + 1):
        ws, state = run.update(torch.stack(slopes(case, ws, t)), state, ws, **hyper)
        path.append(ws)
    return path


@pytest.mark.parametrize("name", AVERAGING)
@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=lambda case: case.name)
def test_simulated_workers_equal_a_literal_loop_of_them(name, case):
    ours = simulated(AVERAGING[name], case, **SETTINGS[name])
    assert worst(ours, literally(name, case, **SETTINGS[name])) <= TOLERANCE
    apart = max(float((x - x[0]).abs().max()) for x in ours)
    assert (apart > 1e-4) == ("period" in SETTINGS[name])  # else all have the weights in common


def test_a_period_of_one_is_a_step_by_the_mean():
    """What is averaged at every step is what one worker does with the mean gradient."""
    case = CASES[2]
    found = simulated(shipped()["local_sgd"], case, lr=0.02, period=1)[-1][0]
    w = case.start
    for t in range(1, STEPS + 1):
        w = w - 0.02 * sum(slopes(case, [w] * WORKERS, t)) / WORKERS
    torch.testing.assert_close(found, w)
