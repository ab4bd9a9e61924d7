"""torch.amp: a scaler that skips a step, autocast, and gradients that are accumulated."""

import copy

import torch
from suites.harness import equal
from torch.amp import GradScaler
from torch.nn.functional import mse_loss

from trainers.rules import data, net, weights


def test_a_step_that_the_scaler_skips_changes_nothing(make):
    model, scaler = net(), GradScaler(device="cpu", init_scale=8.0)
    opt = make(model)
    x, y = data()
    for k in range(4):
        opt.zero_grad()
        scaler.scale(mse_loss(model(x), y)).backward()
        if k == 2:
            model[0].weight.grad[0, 0] = torch.inf
        before = weights(model), copy.deepcopy(opt.state_dict())
        scaler.step(opt)
        scaler.update()
        if k == 2:
            equal((weights(model), opt.state_dict()), before)
        else:
            assert opt.state[model[0].weight]["step"] == (k if k > 2 else k + 1)
    assert scaler.get_scale() == 4.0


def test_scaled_steps_are_the_unscaled_ones(make):
    finals = []
    for scaler in (GradScaler(device="cpu", init_scale=1024.0), GradScaler(enabled=False)):
        model = net()
        opt = make(model)
        for _ in range(3):
            opt.zero_grad()
            scaler.scale(mse_loss(model(data()[0]), data()[1])).backward()
            scaler.step(opt)
            scaler.update()
        finals.append(weights(model))
    equal(*finals)


def test_it_trains_under_autocast(make):
    model = net()
    opt = make(model)
    x, y = data()
    losses = []
    for _ in range(20):
        opt.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = mse_loss(model(x).float(), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_four_small_gradients_are_one_large_one(make):
    finals = []
    for parts in (1, 4):
        model = net(torch.float64)
        opt = make(model)
        x, y = data(dtype=torch.float64)
        for _ in range(3):
            opt.zero_grad()
            for a, b in zip(x.chunk(parts), y.chunk(parts), strict=True):
                (mse_loss(model(a), b) / parts).backward()
            opt.step()
        finals.append(weights(model))
    torch.testing.assert_close(*finals, rtol=1e-9, atol=1e-9)
