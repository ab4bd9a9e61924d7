"""The output head: told by the model, or the last Linear outside repeated blocks."""

import pytest
from models import CNN, GPT, Block, LSTMClassifier, MoE, ViT, mlp
from torch import nn
from torch.nn.utils import parametrizations

from normdsl.compiler.routing.head import head


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (mlp(4, 3, 2), "2"),
        (mlp(4, 4, 4), "2"),
        (CNN(), "fc"),
        (LSTMClassifier(), "out"),
        (GPT(), "lm_head"),
        (ViT(), "head"),
        (MoE(), "last"),
        (nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2)), "1"),
        (nn.Sequential(nn.Linear(4, 2), nn.Embedding(5, 4)), "0"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_the_last_linear_is_the_head(model, name):
    assert head(model) is model.get_submodule(name)


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(4, 2),
        nn.Sequential(nn.Linear(4, 2), nn.LayerNorm(2)),
        nn.Sequential(nn.Linear(4, 2), nn.LayerNorm((3, 2))),
        nn.Transformer(8, 2, 2, 2, 8, batch_first=True),
        nn.Sequential(*[Block(8, 2) for _ in range(2)]),
        nn.Sequential(nn.Linear(4, 8), nn.Conv2d(8, 3, 1)),
        nn.Sequential(nn.Linear(4, 8), nn.MultiheadAttention(8, 2)),
        ViT(classes=0),
        nn.LayerNorm(3),
    ],
    ids=lambda x: type(x).__name__,
)
def test_one_layer_repeated_blocks_and_other_layers_are_no_head(model):
    assert head(model) is None


class Telling(nn.Module):
    """A model that says what its head is."""

    def __init__(self, told):
        super().__init__()
        self.answer, self.lm_head, self.body = told, nn.Linear(3, 5), mlp(3, 4, 3)

    def get_output_embeddings(self):
        return self.lm_head if self.answer == "head" else None

    def get_classifier(self):
        return nn.Identity() if self.answer == "identity" else None


def test_a_model_may_tell_its_head_also_inside_another():
    model = Telling("head")
    assert head(model) is model.lm_head
    assert head(nn.Sequential(nn.ModuleDict({"module": model}))) is model.lm_head


@pytest.mark.parametrize("told", ["none", "identity"])
def test_a_model_that_tells_nothing_has_the_last_linear(told):
    model = Telling(told)
    assert head(model) is model.body[2]


def test_a_method_of_that_name_that_needs_arguments_is_not_asked():
    class Tasks(nn.Sequential):
        get_output_embeddings = "none"

        def get_classifier(self, task):
            raise AssertionError(task)

    model = Tasks(nn.Linear(4, 3), nn.Linear(3, 2))
    assert head(model) is model[1]


def test_parametrized_layers_count():
    conv, linear = nn.Conv2d(2, 3, 1), nn.Linear(3, 2)
    model = nn.Sequential(
        parametrizations.weight_norm(conv), parametrizations.spectral_norm(linear)
    )
    assert head(model) is linear
