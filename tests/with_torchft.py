"""torchft's DiLoCo with rules of ours inside and outside, on two processes; and ours beside it.

Run by `tests/compiler/runtime/test_torchft.py` where torchft is installed. Arguments: the address
of a lighthouse, by which the processes find each other, and a folder in which each writes how far
its weights are from those of simulated workers of `muloco`.
"""

import datetime
import os
import sys
from pathlib import Path

import torch
from processes import start
from torch import distributed, nn
from torch.func import functional_call, grad
from torchft import Manager, ProcessGroupGloo
from torchft.local_sgd import DiLoCo

import normdsl as nd
from normdsl.algorithms import muloco, muon, nesterov_sgd

INNER = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1}
OUTER = {"lr": 0.6, "momentum": 0.8}
PERIOD, ROUNDS, WORLD = 2, 3, 2


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 1, bias=False))


def batch(k: int, rank: int) -> torch.Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(WORLD * k + rank))


def trained(rank: int, lighthouse: str) -> list[torch.Tensor]:
    """Return the weights of one worker after some rounds of torchft's DiLoCo."""
    store = distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    net = model()
    inner, outer = muon(net.parameters(), **INNER), nesterov_sgd(net.parameters(), **OUTER)
    manager = Manager(
        pg=ProcessGroupGloo(),
        min_replica_size=WORLD,
        use_async_quorum=False,
        load_state_dict=lambda state: net.load_state_dict(state["model"]),
        state_dict=lambda: {"model": net.state_dict()},
        replica_id=str(rank),
        store_addr="localhost",
        store_port=store.port,
        rank=0,
        world_size=1,
        lighthouse_addr=lighthouse,
        timeout=datetime.timedelta(seconds=20),
        quorum_timeout=datetime.timedelta(seconds=20),
        init_sync=False,
    )
    try:
        with DiLoCo(manager, [net], inner, outer, sync_every=PERIOD, pin_memory=False):
            for k in range(PERIOD * ROUNDS):
                inner.zero_grad()
                net(batch(k, rank)).square().mean().backward()
                inner.step()
    finally:
        manager.shutdown(wait=False)
    return [p.detach().clone() for p in net.parameters()]


def simulated(rank: int) -> list[torch.Tensor]:
    """Return the weights of one of as many simulated workers of one rule."""
    net, run = model(), nd.simulate(muloco, workers=WORLD)
    hyper = {**INNER, "outer_lr": OUTER["lr"], "outer_momentum": OUTER["momentum"]}
    hyper["period"] = PERIOD
    ws = run.copies({name: p.detach() for name, p in net.named_parameters()})
    state = run.init(ws, **hyper)
    for k in range(PERIOD * ROUNDS):
        each = [
            grad(lambda w, r=r, k=k: functional_call(net, w, batch(k, r)).square().mean())(
                {name: x[r] for name, x in ws.items()}
            )
            for r in range(WORLD)
        ]
        slopes = {name: torch.stack([x[name] for x in each]) for name in ws}
        ws, state = run.update(slopes, state, ws, **hyper)
    return [x[rank] for x in ws.values()]


def main(rank: int, lighthouse: str, folder: str) -> None:
    pairs = zip(trained(rank, lighthouse), simulated(rank), strict=True)
    apart = max(float((x - y).abs().max()) for x, y in pairs)
    Path(folder, str(rank)).write_text(str(apart))
    os._exit(0)  # torchft's threads may wait for others that have gone


if __name__ == "__main__":
    start(main, WORLD, *sys.argv[1:], by="spawn")
