"""accelerate: prepare, accumulate, clip, save and load."""

import pytest
import torch
from accelerate import Accelerator
from suites.harness import equal
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from trainers.rules import data, net, weights

pytestmark = pytest.mark.slow


def prepared(make, accumulate=1, dtype=torch.float32):
    """Return an accelerator and what it prepared."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    model = net(dtype)
    opt = make(model)
    loader = DataLoader(TensorDataset(*data(32, dtype)), batch_size=8)
    return accelerator, *accelerator.prepare(model, opt, loader)


def train(accelerator, model, opt, loader, clip=None):
    """Train for one epoch and return the losses."""
    losses = []
    for x, y in loader:
        with accelerator.accumulate(model):
            loss = mse_loss(model(x), y)
            accelerator.backward(loss)
            if clip and accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), clip)
            opt.step()
            opt.zero_grad()
        losses.append(loss.item())
    return losses


def test_it_trains_clipped(make):
    found = prepared(make)
    losses = [sum(train(*found, clip=0.5)) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_accumulated_batches_are_steps_of_the_mean_gradient(make):
    found = prepared(make, accumulate=4, dtype=torch.float64)
    twin = net(torch.float64)
    other = make(twin)
    x, y = data(32, torch.float64)
    for _ in range(3):
        train(*found)
        other.zero_grad()
        mse_loss(twin(x), y).backward()
        other.step()
    _, model, opt, _ = found
    assert {float(s["step"]) for s in opt.optimizer.state.values()} == {3.0}
    torch.testing.assert_close(weights(model), weights(twin), rtol=1e-9, atol=1e-9)


def test_a_loaded_state_goes_on_bit_for_bit(make, tmp_path):
    accelerator, model, opt, loader = prepared(make)
    train(accelerator, model, opt, loader)
    accelerator.save_state(tmp_path)
    train(accelerator, model, opt, loader)
    torch.manual_seed(5)
    again, twin, other, twin_loader = prepared(make)
    again.load_state(tmp_path)
    train(again, twin, other, twin_loader)
    equal(weights(twin), weights(model))
    equal(other.state_dict(), opt.state_dict())
