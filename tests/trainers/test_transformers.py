"""transformers: its Trainer on a tiny model with random weights, whole and resumed."""

import pytest
import torch
from suites.harness import equal
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from trainers.rules import weights

pytestmark = pytest.mark.slow


class Sentences(Dataset):
    """Random tokens, each followed by the next number."""

    def __len__(self):
        return 32

    def __getitem__(self, index):
        tokens = (torch.arange(8) + index) % 16
        return {"input_ids": tokens, "labels": tokens}


def model():
    torch.manual_seed(0)
    size = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 8, "vocab_size": 16}
    return GPT2LMHeadModel(GPT2Config(**size, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))


def trainer(make, folder, **options):
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=8,
        max_steps=8,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        **options,
    )
    net = model()
    return Trainer(
        model=net,
        args=arguments,
        train_dataset=Sentences(),
        optimizers=(make(net), None),
    )


def test_it_trains_and_a_resumed_run_is_the_uninterrupted_one(make, tmp_path):
    whole = trainer(make, tmp_path, save_steps=4)
    whole.train()
    losses = [entry["loss"] for entry in whole.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    rest = trainer(make, tmp_path, save_strategy="no")
    rest.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    equal(weights(rest.model), weights(whole.model))
    equal(rest.optimizer.state_dict(), whole.optimizer.state_dict())


def test_accumulated_and_clipped(make, tmp_path):
    found = trainer(
        make, tmp_path, save_strategy="no", gradient_accumulation_steps=4, max_grad_norm=0.1
    )
    found.train()
    assert {float(s["step"]) for s in found.optimizer.optimizer.state.values()} == {8.0}
