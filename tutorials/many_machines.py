"""A small GPT whose processes share every weight, every state and every step: run by torchrun.

On one machine with two processes, without GPUs:

    torchrun --standalone --nproc-per-node 2 many_machines.py --steps 6 --save checkpoint

On a cluster, once on each machine, with one process for each GPU:

    torchrun --nnodes 16 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
        many_machines.py --steps 100000 --save /shared/checkpoint

Without torchrun it is one process that holds all. `--load` continues from a checkpoint, whatever
the number of processes that saved it.
"""

import argparse
from pydoc_data.topics import topics

import torch
import torch.distributed.checkpoint as dcp
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F

import normdsl as nd
from normdsl.algorithms import muon

LENGTH, BATCH, WIDTH, HEADS, DEPTH = 32, 8, 32, 4, 2
TEXT = "".join(topics.values())
ALPHABET = sorted(set(TEXT))
NUMBER = {letter: k for k, letter in enumerate(ALPHABET)}
DATA = torch.tensor([NUMBER[letter] for letter in TEXT])


class Block(nn.Module):
    """Attention, then two layers."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        parts = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (y.unflatten(-1, (HEADS, -1)).transpose(1, 2) for y in parts)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(seen.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Characters in, the loss of the next ones out."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(ALPHABET), WIDTH)
        self.position = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(DEPTH)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(ALPHABET))

    def forward(self, tokens):
        x = self.embed(tokens[:, :-1]) + self.position.weight
        letters = self.head(self.norm(self.blocks(x)))
        return F.cross_entropy(letters.flatten(0, 1), tokens[:, 1:].flatten())


def made(device="cpu"):
    """Return the model, sharded if there are processes, and its optimizer."""
    torch.manual_seed(0)
    model = GPT().to(device)
    if distributed.is_initialized():
        for block in model.blocks:
            fully_shard(block)
        fully_shard(model)
    return model, nd.route(model, muon(lr=0.02))


def batch(step, rank=0, world=1):
    """Return this process's part of the batch of a step."""
    draw = torch.Generator().manual_seed(step)
    at = torch.randint(len(DATA) - LENGTH, (BATCH, 1), generator=draw) + torch.arange(LENGTH + 1)
    return DATA[at].chunk(world)[rank]


def train(model, opt, steps, rank=0, world=1):
    """Take some steps, and return the loss of each on all processes' parts."""
    device, losses = next(model.parameters()).device, []
    for step in steps:
        loss = model(batch(step, rank, world).to(device))
        opt.zero_grad()
        loss.backward()
        opt.step()
        mean = loss.detach().clone()
        if world > 1:
            distributed.all_reduce(mean)
        losses.append(mean.item() / world)
    return losses


def save(model, opt, folder):
    """Let every process write what it has."""
    weights, states = get_state_dict(model, opt)
    dcp.save({"model": weights, "optimizer": states}, checkpoint_id=folder)


def load(model, opt, folder):
    """Read what this process is to have, whoever wrote it."""
    weights, states = get_state_dict(model, opt)
    dcp.load({"model": weights, "optimizer": states}, checkpoint_id=folder)
    set_state_dict(model, opt, model_state_dict=weights, optim_state_dict=states)


def main():
    """Train, as torchrun or a user says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="number of the first step")
    parser.add_argument("--save", help="folder of the checkpoint that is written")
    parser.add_argument("--load", help="folder of a checkpoint to begin with")
    parser.add_argument("--double", action="store_true", help="float64, to compare runs")
    said = parser.parse_args()
    if said.double:
        torch.set_default_dtype(torch.float64)
    rank, world, device = 0, 1, "cpu"
    if distributed.is_torchelastic_launched():
        if torch.cuda.is_available():
            device = f"cuda:{distributed.get_node_local_rank()}"
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        rank, world = distributed.get_rank(), distributed.get_world_size()
    model, opt = made(device)
    if said.load:
        load(model, opt, said.load)
    losses = train(model, opt, range(said.first, said.first + said.steps), rank, world)
    if said.save:
        save(model, opt, said.save)
    if rank == 0:
        print(opt.explain())
        print("losses:", *(f"{x:.6f}" for x in losses))
    if world > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
