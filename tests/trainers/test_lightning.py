"""Lightning: precision, clipping, accumulation, and a run that is resumed."""

import warnings

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.demos.boring_classes import BoringModel
from suites.harness import equal

from trainers.rules import weights

pytestmark = pytest.mark.slow


class Model(BoringModel):
    """Lightning's smallest model, with an optimizer of ours."""

    def __init__(self, make):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Sequential(torch.nn.Linear(32, 4), torch.nn.Linear(4, 2))
        self.make = make
        self.losses = []

    def configure_optimizers(self):
        opt = self.make(self)
        return [opt], [torch.optim.lr_scheduler.StepLR(opt, step_size=1, gamma=0.5)]

    def training_step(self, batch, batch_idx):
        out = super().training_step(batch, batch_idx)
        self.losses.append(out["loss"].item())
        return out


def fit(model, folder, resume=None, **options):
    """Train on eight batches an epoch, which are the same in every run."""
    torch.manual_seed(3)
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        limit_train_batches=8,
        limit_val_batches=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, ckpt_path=resume)
    return trainer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": "bf16-mixed"},
        {"precision": "bf16-true"},
        {"gradient_clip_val": 0.1},
        {"accumulate_grad_batches": 4},
    ],
    ids=str,
)
def test_it_trains(make, tmp_path, options):
    model = Model(make)
    before = weights(model)
    trainer = fit(model, tmp_path, max_epochs=2, enable_checkpointing=False, **options)
    steps = 16 // options.get("accumulate_grad_batches", 1)
    assert trainer.global_step == steps
    assert {float(s["step"]) for s in trainer.optimizers[0].state.values()} == {float(steps)}
    assert not any(map(torch.equal, weights(model), before))
    assert model.losses[-1] < model.losses[0]


def test_a_resumed_run_is_the_uninterrupted_one(make, tmp_path):
    whole, first, second = Model(make), Model(make), Model(make)
    done = fit(whole, tmp_path, max_epochs=2, enable_checkpointing=False)
    fit(first, tmp_path, max_epochs=1, enable_checkpointing=False).save_checkpoint(
        tmp_path / "half.ckpt"
    )
    rest = fit(
        second, tmp_path, max_epochs=2, enable_checkpointing=False, resume=tmp_path / "half.ckpt"
    )
    equal(weights(second), weights(whole))
    equal(rest.optimizers[0].state_dict(), done.optimizers[0].state_dict())
