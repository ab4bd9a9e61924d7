"""Small models of the kinds that are trained, for tests of roles and routes."""

from itertools import pairwise

import torch
from torch import nn


def mlp(*widths):
    layers = [layer for m, n in pairwise(widths) for layer in (nn.Linear(m, n), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class CNN(nn.Module):
    """Ordinary, grouped, depthwise and transposed convolutions, BatchNorm, and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 12, 3, groups=4)
        self.depthwise = nn.Conv2d(12, 12, 3, groups=12)
        self.up = nn.ConvTranspose2d(12, 6, 2)
        self.up_grouped = nn.ConvTranspose2d(6, 4, 2, groups=2)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.depthwise(self.grouped(self.bn(self.stem(x)).relu()))
        return self.fc(self.up_grouped(self.up(x).relu()).mean((2, 3)))


class LSTMClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 4, bidirectional=True, proj_size=3)
        self.gru = nn.GRU(6, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, tokens):
        return self.out(self.gru(self.lstm(self.embedding(tokens))[0])[0][-1])


class Block(nn.Module):
    """Attention with fused queries, keys and values, and a perceptron."""

    def __init__(self, d, heads):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.heads = heads

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(seen.transpose(1, 2).reshape(b, t, d))
        return x + self.down(self.up(self.ln2(x)).relu())


class GPT(nn.Module):
    """A language model whose head is tied to its embedding."""

    def __init__(self, d=8, blocks=2):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(13, d), nn.Embedding(7, d)
        self.blocks = nn.ModuleList(Block(d, 2) for _ in range(blocks))
        self.ln = nn.LayerNorm(d)
        self.lm_head = nn.Linear(d, 13, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.ln(x))


class ViT(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 8))
        self.patch = nn.Conv2d(3, 8, 2, stride=2)
        self.blocks = nn.ModuleList(Block(8, 2) for _ in range(2))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, classes) if classes else nn.Identity()

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), 1, 8), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class Experts(nn.Module):
    """Experts [E, m, n] with biases [E, m] and a router."""

    def __init__(self, count=3, d=6, inner=5):
        super().__init__()
        self.router = nn.Parameter(torch.randn(count, d))
        self.gate_up = nn.Parameter(torch.randn(count, d, 2 * inner))
        self.gate_up_bias = nn.Parameter(torch.zeros(count, 2 * inner))
        self.down = nn.Parameter(torch.randn(count, inner, d))
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, x):
        share = torch.softmax(x @ self.router.T * self.temperature, -1)
        inside = torch.einsum("bd,edk->ebk", x, self.gate_up) + self.gate_up_bias[:, None]
        gate, up = inside.chunk(2, -1)
        return x + torch.einsum("ebi,eid,be->bd", gate.relu() * up, self.down, share)


class MoE(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.experts, self.last = nn.Linear(4, 6), Experts(), nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.experts(self.first(x)))


class Conv1D(nn.Module):
    """The Linear of GPT-2, which stores (in, out)."""

    def __init__(self, outputs, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


def images():
    return torch.randn(2, 3, 7, 7)


#: Each model, and what it is run on.
ZOO = {
    "mlp": (lambda: mlp(4, 6, 5, 2), lambda: torch.randn(3, 4)),
    "one layer": (lambda: nn.Linear(4, 3), lambda: torch.randn(3, 4)),
    "cnn": (CNN, images),
    "lstm": (LSTMClassifier, lambda: torch.randint(11, (4, 2))),
    "gpt": (GPT, lambda: torch.randint(13, (2, 5))),
    "vit": (ViT, lambda: torch.randn(2, 3, 4, 4)),
    "moe": (MoE, lambda: torch.randn(3, 4)),
    "conv1d": (
        lambda: nn.Sequential(Conv1D(6, 4), nn.Tanh(), Conv1D(6, 6), nn.Linear(6, 2)),
        lambda: torch.randn(3, 4),
    ),
}
