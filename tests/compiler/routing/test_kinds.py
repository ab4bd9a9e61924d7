"""The role and view of the parameters of each kind of module."""

import pytest
import torch
from models import Conv1D
from torch import nn

import normdsl as nd
from normdsl.compiler.routing.kinds import seen

flat, stack, swapped = nd.views.flat, nd.views.stack, nd.views.swapped
heads, split = nd.views.heads, nd.views.split


def all_seen(module):
    return {name: seen(module, name, p) for name, p in module.named_parameters(recurse=False)}


@pytest.mark.parametrize(
    ("module", "view"),
    [
        (nn.Linear(3, 4), None),
        (nn.Conv1d(2, 4, 3), flat),
        (nn.Conv2d(2, 4, 3), flat),
        (nn.Conv3d(2, 4, 3), flat),
        (nn.Conv2d(4, 4, 3, groups=4), heads(4)),
        (nn.Conv1d(4, 6, 3, groups=2), heads(2)),
        (nn.ConvTranspose1d(2, 4, 3), swapped),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), split(2, 2, each=swapped)),
        (nn.Bilinear(2, 3, 4), stack),
        (Conv1D(4, 3), swapped),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_weight_is_hidden_and_its_bias_a_vector(module, view):
    assert all_seen(module) == {"weight": ("hidden", view), "bias": ("vector", None)}


@pytest.mark.parametrize(
    ("module", "view"),
    [
        (nn.LSTM(3, 4), heads(4)),
        (nn.GRU(3, 4, bidirectional=True), heads(3)),
        (nn.RNN(3, 4), None),
        (nn.LSTMCell(3, 4), heads(4)),
        (nn.GRUCell(3, 4), heads(3)),
        (nn.RNNCell(3, 4), None),
    ],
    ids=lambda x: type(x).__name__,
)
def test_gates_are_matrices_of_their_own(module, view):
    found = all_seen(module)
    assert {x for name, x in found.items() if "weight" in name} == {("hidden", view)}
    assert {x for name, x in found.items() if "bias" in name} == {("vector", None)}


def test_the_projection_of_an_lstm_is_one_matrix():
    assert all_seen(nn.LSTM(3, 4, proj_size=2))["weight_hr_l0"] == ("hidden", None)


def test_attention_has_three_matrices_however_it_stores_them():
    fused = all_seen(nn.MultiheadAttention(4, 2, add_bias_kv=True))
    assert fused.pop("in_proj_weight") == ("hidden", heads(3))
    assert set(fused.values()) == {("vector", None)}
    apart = all_seen(nn.MultiheadAttention(4, 2, kdim=3, vdim=5))
    assert {x for name, x in apart.items() if "weight" in name} == {("hidden", None)}


@pytest.mark.parametrize("module", [nn.Embedding(3, 4), nn.Embedding(1, 4), nn.EmbeddingBag(3, 4)])
def test_embeddings(module):
    assert all_seen(module) == {"weight": ("embedding", None)}


@pytest.mark.parametrize("module", [nn.LayerNorm((2, 3, 4)), nn.RMSNorm((2, 3)), nn.BatchNorm2d(3)])
def test_parameters_of_norms_are_vectors(module):
    assert set(all_seen(module).values()) == {("vector", None)}


class Raw(nn.Module):
    """A module that torch does not have."""


class RotaryEmbedding(Raw):
    pass


class ScaleNorm(Raw):
    pass


@pytest.mark.parametrize(
    ("kind", "name", "shape", "expected"),
    [
        (Raw, "w", (3, 4), ("hidden", None)),
        (Raw, "w", (2, 3, 4), ("hidden", stack)),
        (Raw, "w", (1, 3, 4), ("hidden", stack)),
        (Raw, "w", (3, 4, 1, 1), ("hidden", flat)),
        (Raw, "w", (1, 3, 1), ("vector", None)),
        (Raw, "scale", (), ("vector", None)),
        (Raw, "expert_biases", (3, 4), ("vector", None)),
        (Raw, "A_log", (3, 4), ("vector", None)),
        (Raw, "log_std", (3, 4), ("vector", None)),
        (Raw, "logits", (3, 4), ("hidden", None)),
        (Raw, "gamma", (3, 4), ("vector", None)),
        (Raw, "pos_embed", (1, 5, 4), ("embedding", stack)),
        (Raw, "relative_position_bias_table", (9, 4), ("embedding", None)),
        (Raw, "query_tokens", (1, 5, 4), ("embedding", stack)),
        (Raw, "cls_token", (1, 1, 4), ("vector", None)),
        (Raw, "wpe", (3, 4), ("embedding", None)),
        (Raw, "wte_weight", (3, 4), ("embedding", None)),
        (Raw, "posterior", (3, 4), ("hidden", None)),
        (Raw, "embedder_weight", (3, 4), ("hidden", None)),
        (RotaryEmbedding, "weight", (3, 4), ("embedding", None)),
        (ScaleNorm, "g", (3, 4), ("vector", None)),
    ],
)
def test_raw_parameters_go_by_shape_and_name(kind, name, shape, expected):
    assert seen(kind(), name, torch.zeros(shape)) == expected


def test_what_an_old_parametrization_stores_is_seen_as_the_weight():
    module = nn.Conv2d(4, 6, 3, groups=2)
    assert seen(module, "weight_g", torch.zeros(6, 1, 1, 1)) == ("vector", None)
    assert seen(module, "weight_v", module.weight) == ("hidden", heads(2))
    assert seen(module, "weight_orig", module.weight) == ("hidden", heads(2))


def test_a_factor_of_a_weight_is_not_seen_as_the_weight():
    assert seen(nn.ConvTranspose2d(6, 4, 3), "weight", torch.zeros(6, 2)) == ("hidden", None)
