"""Tuples of parameters in models, found by names: adapters, queries and keys."""

import pytest
import torch
from torch import nn

import normdsl as nd

a = nd.algorithms


class Adapted(nn.Module):
    """A frozen layer with an adapter, its parameters called as those of peft."""

    def __init__(self, inputs, outputs, rank=2):
        super().__init__()
        self.base_layer = nn.Linear(inputs, outputs).requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(inputs, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, outputs, bias=False)})

    def forward(self, x):
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


def model():
    torch.manual_seed(0)
    return nn.Sequential(Adapted(6, 8), nn.ReLU(), Adapted(8, 3), nn.LayerNorm(3))


def test_adapters_are_found_and_the_rest_is_routed():
    opt = nd.route(model(), pairs=a.lora_rite(lr=0.1), vector=a.adamw())
    groups = {g["name"]: (g["rule"].name, len(g["params"])) for g in opt.param_groups}
    assert groups == {"pairs": ("lora_rite", 4), "vector": ("adamw", 2)}
    assert opt.param_groups[0]["lr"] == 0.1
    names = opt.param_groups[0]["param_names"]
    assert names[:2] == ["0.lora_A.default.weight", "0.lora_B.default.weight"]


def test_they_train():
    net = model()
    opt = nd.route(net, pairs=a.lora_muon(lr=0.1), vector=a.adamw())
    x, y = torch.randn(64, 6), torch.randn(64, 3)
    found = []
    for _ in range(40):
        opt.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        opt.step()
        found.append(float(loss.detach()))
    assert found[-1] < 0.8 * found[0]


def test_queries_and_keys_of_heads():
    @nd.optimizer
    def heads(Q: nd.Matrix("r", "d"), K: nd.Matrix("r*", "d"), lr=0.1):
        return Q.W - lr * K.W @ K.G.T @ Q.G, K.W - lr * K.G

    block = nn.ModuleDict({f"{x}_proj": nn.Linear(4, 4, bias=False) for x in "qkv"})
    opt = nd.route(block, pairs=heads, head=a.adamw())
    assert opt.param_groups[0]["param_names"] == ["q_proj.weight", "k_proj.weight"]
    assert sum(len(g["params"]) for g in opt.param_groups) == 3


def test_what_has_no_pairs_is_refused():
    with pytest.raises(nd.HyperparameterError, match="differ only by A, B"):
        nd.route(nn.Linear(2, 2), pairs=a.lora_rite)
    with pytest.raises(nd.HyperparameterError, match="over one matrix"):
        nd.route(model(), pairs=a.sgd)


def test_peft_models():
    peft = pytest.importorskip("peft")
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    adapted = peft.get_peft_model(net, peft.LoraConfig(target_modules=["0", "2"], r=2))
    opt = nd.route(adapted, pairs=a.lora_rite)
    assert [len(g["params"]) for g in opt.param_groups] == [4]
