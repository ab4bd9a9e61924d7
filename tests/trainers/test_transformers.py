"""transformers: its Trainer on a tiny model with random weights, whole and resumed."""

import pytest
import torch
from suites.harness import equal
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from normdsl.algorithms import adamw, muon
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


def trained(optimizer, folder, kwargs, **options):
    """Return what a trainer makes of the model with a class, or a factory, of optimizers."""
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=8,
        max_steps=3,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        **options,
    )
    net = model()
    run = Trainer(
        model=net,
        args=arguments,
        train_dataset=Sentences(),
        optimizer_cls_and_kwargs=(optimizer, kwargs),
    )
    run.train()
    return run


def test_a_class_of_ours_steps_as_that_of_torch(tmp_path):
    """The trainer makes its groups, in which biases and norms do not decay."""
    kwargs = {"lr": 1e-2, "betas": (0.9, 0.99)}
    ours = trained(adamw.Optimizer, tmp_path, kwargs, weight_decay=0.1)
    theirs = trained(torch.optim.AdamW, tmp_path, kwargs, weight_decay=0.1)
    assert [g["weight_decay"] for g in ours.optimizer.optimizer.param_groups] == [0.1, 0.0]
    for x, y in zip(weights(ours.model), weights(theirs.model), strict=True):
        torch.testing.assert_close(x, y)


def test_a_rule_is_handed_the_whole_model(tmp_path):
    entrywise = trained(adamw, tmp_path, {"lr": 1e-2}).optimizer.optimizer
    assert [g["rule"] for g in entrywise.param_groups] == [adamw]
    matrices = trained(muon, tmp_path, {"lr": 1e-2}).optimizer.optimizer
    assert {g["rule"] for g in matrices.param_groups} == {muon, adamw}
