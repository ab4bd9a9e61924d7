"""The output head: told by the model, or the last Linear outside repeated blocks."""

import copy

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
        self.answer, self.last, self.body = told, nn.Linear(3, 5), mlp(3, 4, 3)

    def get_output_embeddings(self):
        return self.last if self.answer == "head" else None

    def get_classifier(self):
        return nn.Identity() if self.answer == "identity" else None


def test_a_model_may_tell_its_head_also_inside_another():
    model = Telling("head")
    assert head(model) is model.last
    assert head(nn.Sequential(nn.ModuleDict({"module": model}))) is model.last


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


@pytest.mark.parametrize("error", [NotImplementedError, AttributeError, TypeError])
def test_a_method_that_fails_tells_nothing(error):
    class Failing(nn.Sequential):
        def get_classifier(self):
            raise error

    model = Failing(nn.Linear(4, 3), nn.Linear(3, 2))
    assert head(model) is model[1]


NAMES = ("head", "lm_head", "mlp_head", "classifier", "fc_out", "unembed", "unembedding")


@pytest.mark.parametrize("name", [*NAMES, "to_logits", "output_projection"])
def test_a_linear_with_the_name_of_a_head_is_one_wherever_it_is_registered(name):
    model = nn.ModuleDict({name: nn.Linear(8, 5), "body": mlp(3, 8, 8)})
    assert head(model) is model[name]
    assert head(nn.ModuleDict({"module": model, "other": nn.Linear(5, 5)})) is model[name]


def test_of_several_such_names_the_last_is_the_head():
    model = nn.ModuleDict(
        {"classifier": nn.Linear(8, 5), "head": nn.Linear(8, 5), "body": mlp(3, 8)}
    )
    assert head(model) is model["head"]


@pytest.mark.parametrize("name", ["heads", "overhead", "head_norm", "q_head", "embed"])
def test_other_names_are_no_names_of_heads(name):
    model = nn.ModuleDict({name: nn.Linear(8, 5), "body": mlp(3, 8, 8)})
    assert head(model) is model["body"][2]


def test_what_has_the_name_but_is_no_linear_or_is_repeated_or_alone_is_no_head():
    other = nn.ModuleDict({"head": nn.Conv2d(8, 5, 1), "body": mlp(3, 8, 8)})
    assert head(other) is other["body"][2]
    block = {"head": nn.Linear(8, 8), "up": nn.Linear(8, 8)}
    blocks = nn.Sequential(*[nn.ModuleDict(copy.deepcopy(block)) for _ in range(2)])
    assert head(nn.Sequential(blocks, nn.Linear(8, 2))).out_features == 2
    assert head(blocks) is None
    assert head(nn.ModuleDict({"head": nn.Linear(8, 5)})) is None


def test_parametrized_layers_count():
    conv, linear = nn.Conv2d(2, 3, 1), nn.Linear(3, 2)
    model = nn.Sequential(
        parametrizations.weight_norm(conv), parametrizations.spectral_norm(linear)
    )
    assert head(model) is linear
