"""Roles: every parameter once, ties, parametrizations, frozen parameters, the table."""

import pytest
import torch
from models import CNN, GPT, ZOO, LSTMClassifier, MoE, ViT, mlp
from properties import assert_four_parts
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import normdsl as nd
from normdsl.compiler.routing.kinds import ROLES
from normdsl.compiler.routing.roles import assigned

flat, stack, swapped = nd.views.flat, nd.views.stack, nd.views.swapped
heads, split = nd.views.heads, nd.views.split


def roles_of(model):
    return {x.name: x.role for x in assigned(model)}


def views_of(model):
    return {x.name: x.view for x in assigned(model) if x.view is not None}


@pytest.mark.parametrize("name", ZOO)
def test_every_parameter_is_there_once_and_can_be_seen(name):
    model = ZOO[name][0]()
    found = assigned(model)
    assert [id(x.param) for x in found] == [id(p) for p in model.parameters()]
    assert [x.name for x in found] == [n for n, _ in model.named_parameters()]
    every = [n for n, _ in model.named_parameters(remove_duplicate=False)]
    assert sorted(n for x in found for n in x.names) == sorted(every)
    for x in found:
        assert x.role in ROLES
        shape = tuple(x.param.shape)
        if x.view is not None:
            assert sum(b * m * n for b, m, n in x.view.sizes(shape)) == x.param.numel()
        else:
            assert x.role == "vector" or len(shape) == 2


def test_a_perceptron():
    assert roles_of(mlp(4, 3, 2)) == {
        "0.weight": "hidden",
        "0.bias": "vector",
        "2.weight": "head",
        "2.bias": "vector",
    }


def test_one_layer_is_hidden():
    assert roles_of(nn.Linear(3, 2)) == {"weight": "hidden", "bias": "vector"}


def test_a_head_of_one_output_is_a_head_and_another_thin_layer_a_vector():
    assert roles_of(mlp(1, 3, 1))["2.weight"] == "head"
    assert roles_of(mlp(1, 3, 1))["0.weight"] == "vector"


def test_a_convolutional_network():
    model = CNN()
    found = roles_of(model)
    assert found["fc.weight"] == "head"
    assert found["bn.weight"] == found["bn.bias"] == "vector"
    assert views_of(model) == {
        "stem.weight": flat,
        "grouped.weight": heads(4),
        "depthwise.weight": heads(12),
        "up.weight": swapped,
        "up_grouped.weight": split(3, 3, each=swapped),
    }


def test_a_recurrent_classifier():
    found, views = roles_of(LSTMClassifier()), views_of(LSTMClassifier())
    assert found["embedding.weight"] == "embedding"
    assert found["out.weight"] == "head"
    assert found["lstm.weight_hr_l0_reverse"] == "hidden"
    assert views["lstm.weight_hh_l0_reverse"] == heads(4)
    assert views["gru.weight_ih_l0"] == heads(3)


def test_a_head_tied_to_an_embedding_is_an_embedding_with_both_names():
    found = {x.name: x for x in assigned(GPT())}
    assert found["wte.weight"].role == "embedding"
    assert found["wte.weight"].tied == ("lm_head.weight",)
    assert "lm_head.weight" not in found
    assert found["blocks.0.qkv.weight"].role == "hidden"


def test_a_tie_to_an_embedding_registered_later_is_one_as_well():
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 4), nn.Embedding(4, 3))
    model[1].weight = model[2].weight
    assert roles_of(model) == {"0.weight": "hidden", "1.weight": "embedding", "1.bias": "vector"}


def test_a_module_used_twice_is_one_entry_with_both_names():
    layer = nn.Linear(3, 3, bias=False)
    (found,) = assigned(nn.Sequential(layer, nn.ReLU(), layer))
    assert found.names == ("0.weight", "2.weight")


def test_a_vision_transformer():
    found = roles_of(ViT())
    assert found["cls_token"] == "vector"
    assert found["pos_embed"] == "embedding"
    assert found["head.weight"] == "head"
    assert views_of(ViT()) == {"pos_embed": stack, "patch.weight": flat}


def test_experts_are_stacks_and_their_biases_vectors():
    model = MoE()
    found = roles_of(model)
    assert views_of(model) == {"experts.gate_up": stack, "experts.down": stack}
    assert found["experts.router"] == found["first.weight"] == "hidden"
    assert found["experts.gate_up_bias"] == found["experts.temperature"] == "vector"


def test_a_transformer_without_a_head():
    found = assigned(nn.Transformer(8, 2, 2, 2, 8, batch_first=True))
    assert {x.role for x in found} == {"hidden", "vector"}
    assert {x.view for x in found if "in_proj_weight" in x.name} == {heads(3)}
    assert all(x.role == "hidden" for x in found if "out_proj.weight" in x.name)


def test_a_parametrized_weight_is_seen_as_the_weight():
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Conv2d(4, 6, 3, groups=2)),
        parametrizations.orthogonal(nn.Linear(5, 5)),
        parametrizations.weight_norm(nn.Linear(5, 4)),
    )
    found = {x.name: (x.role, x.view) for x in assigned(model) if "bias" not in x.name}
    assert found == {
        "0.parametrizations.weight.original0": ("vector", None),
        "0.parametrizations.weight.original1": ("hidden", heads(2)),
        "1.parametrizations.weight.original": ("hidden", None),
        "2.parametrizations.weight.original0": ("vector", None),
        "2.parametrizations.weight.original1": ("head", None),
    }


def test_a_parametrized_root_and_a_parametrization_with_parameters():
    class LowRank(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(4, 2)), nn.Parameter(torch.zeros(2, 3))

        def forward(self, weight):
            return weight + self.a @ self.b

    model = nn.Linear(3, 4)
    parametrize.register_parametrization(model, "weight", LowRank())
    assert roles_of(model) == {
        "bias": "vector",
        "parametrizations.weight.original": "hidden",
        "parametrizations.weight.0.a": "hidden",
        "parametrizations.weight.0.b": "hidden",
    }


def test_lists_of_parameters_go_by_the_name_of_the_list():
    model = nn.Module()
    model.pos_embeds = nn.ParameterList([nn.Parameter(torch.zeros(3, 4))])
    model.weights = nn.ParameterDict({"tokens": nn.Parameter(torch.zeros(3, 4))})
    assert roles_of(model) == {"pos_embeds.0": "embedding", "weights.tokens": "hidden"}


def test_a_wrapped_model_has_the_same_roles():
    model = GPT()
    assert list(roles_of(torch.compile(model)).values()) == list(roles_of(model).values())
    wrapped = nn.DataParallel(model)
    assert list(roles_of(wrapped).values()) == list(roles_of(model).values())


def test_a_lazy_module_is_refused():
    with pytest.raises(nd.GradientError, match=r"find the role of 1\.weight") as told:
        nd.roles(nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3)))
    assert_four_parts(told.value)


def test_the_table_shows_names_roles_views_ties_and_what_is_frozen():
    model = GPT(blocks=1)
    model.wpe.weight.requires_grad_(False)
    table = nd.roles(model)
    assert table.rows[0] == ["wte.weight", "13×8", "embedding", "", "Embedding", "lm_head.weight"]
    assert table.rows[1] == ["wpe.weight", "7×8", "frozen", "", "Embedding", ""]
    assert "frozen: 1 tensor, 56 entries" in table.notes
    assert table.notes[0].startswith("hidden: 4 tensors, ")
    assert "<td" in table.html()
    assert len(table.rows) == len(list(model.parameters()))
    assert nd.roles(CNN()).rows[0][3] == "flat"


def test_models_of_transformers():
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    small |= {"vocab_size": 11, "num_hidden_layers": 1}
    gpt2 = transformers.GPT2Config(n_embd=8, n_head=2, n_layer=1, vocab_size=11, n_positions=4)
    found = {x.name: x for x in assigned(transformers.GPT2LMHeadModel(gpt2))}
    assert found["transformer.wte.weight"].tied == ("lm_head.weight",)
    assert found["transformer.h.0.attn.c_attn.weight"].view == swapped

    llama = transformers.LlamaConfig(**small, num_key_value_heads=1, tie_word_embeddings=False)
    found = roles_of(transformers.LlamaForCausalLM(llama))
    assert found["lm_head.weight"] == "head"
    assert found["model.embed_tokens.weight"] == "embedding"
    assert found["model.layers.0.mlp.down_proj.weight"] == "hidden"
    assert found["model.norm.weight"] == "vector"

    found = roles_of(transformers.BertForSequenceClassification(transformers.BertConfig(**small)))
    assert [name for name, role in found.items() if role == "head"] == ["classifier.weight"]
    assert found["bert.embeddings.position_embeddings.weight"] == "embedding"


def test_a_model_whose_method_for_its_head_fails_has_roles_all_the_same():
    class Net(nn.Sequential):
        def get_classifier(self):
            raise NotImplementedError

    model = Net(nn.Linear(3, 3), nn.Linear(3, 3))
    assert roles_of(model)["1.weight"] == "head"
    assert "1.weight" in str(nd.roles(model))
