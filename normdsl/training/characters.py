"""A small character transformer on the Python manual that comes with Python, and its batches."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import torch
from torch import Tensor, nn

CONTEXT = 64
WIDTH = 64
HEADS = 4


@attrs.frozen(eq=False)
class Text:
    """A text as numbers of characters, split: the last tenth is for testing.

    Args:
        train: what is trained on. test: the rest. symbols: how many characters there are.
    """

    train: Tensor
    test: Tensor
    symbols: int


def manual() -> Text:
    """Return the topics of `help()`, some 460,000 characters of `pydoc_data.topics`."""
    from pydoc_data.topics import topics

    whole = "\n\n".join(topics[name] for name in sorted(topics))
    symbols = {c: k for k, c in enumerate(sorted(set(whole)))}
    numbers = torch.tensor([symbols[c] for c in whole])
    cut = len(numbers) * 9 // 10
    return Text(numbers[:cut], numbers[cut:], len(symbols))


class Block(nn.Module):
    """Causal attention, then two layers with GELU, each added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the next activations, batch × length × width."""
        y = self.before_attention(x)
        parts = (f(y).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in self._seen())
        query, key, value = parts
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        hidden: Tensor = self.down(nn.functional.gelu(self.up(self.before_layers(x))))
        return x + hidden

    def _seen(self) -> tuple[nn.Module, ...]:
        return self.query, self.key, self.value


class Transformer(nn.Module):
    """Characters to scores of the next character: embeddings, blocks, a head of its own."""

    def __init__(self, symbols: int, width: int = WIDTH, blocks: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.places = nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, HEADS) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols, bias=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return scores, batch × length × symbols."""
        x = self.embedding(numbers) + self.places.weight[: numbers.shape[1]]
        scores: Tensor = self.head(self.norm(self.blocks(x)))
        return scores


def transformer(symbols: int, seed: int) -> Transformer:
    """Return the model, initialised from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Transformer(symbols)
        for embedding in (model.embedding, model.places):
            nn.init.normal_(embedding.weight, std=0.02)
    return model


def windows(text: Tensor, size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of characters, and of those that follow each, from places drawn by a seed."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        first = torch.randint(len(text) - CONTEXT, (size, 1), generator=generator)
        chosen = first + torch.arange(CONTEXT + 1)
        yield text[chosen[:, :-1]], text[chosen[:, 1:]]
