"""Two processes that train one model by gloo; each writes what it saw, as JSON.

Run by `tests/compiler/runtime/test_sharded.py`, as one pair of processes for all of its tests.
Arguments: a file in which they find each other, beside which they write, and a folder for
checkpoints.
"""

import copy
import sys
import warnings

import torch
import torch.distributed.checkpoint as dcp
from processes import group, start, tell
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

import normdsl as nd
from normdsl.algorithms import adamw, clipped_sgd, dp_sgd, kfac, muon, polyak_sgd, shampoo
from normdsl.compiler.runtime.schedule_error import Wired
from normdsl.compiler.sharding import convoys
from normdsl.errors import NormdslError

WORLD = 2
ALONE = {"replicas": False}


def model() -> nn.Module:
    """Return matrices of one shape, and a head of one row, of which a process holds nothing."""
    torch.manual_seed(0)
    layers = nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 1)
    return nn.Sequential(*layers).double()


def batch(k: int, rank: int | None) -> torch.Tensor:
    x = torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(k))
    return x if rank is None else x.chunk(WORLD)[rank]


def trained(net, opt, rank, steps=3):
    for k in range(steps):
        opt.zero_grad()
        loss = net(batch(k, rank)).square().mean()
        loss.backward()
        opt.step(loss=loss.detach())
    return [whole(p) for p in net.parameters()]


def whole(p):
    return (p.full_tensor() if isinstance(p, DTensor) else p).detach().clone()


def error(make, net, rank, **options):
    """Return how far a model that processes train together is from one of a single process."""
    alone = model()
    ours = trained(net, make(net, **options), rank)
    theirs = trained(alone, make(alone, **ALONE), None)
    return max(float((x - y).abs().max()) for x, y in zip(ours, theirs, strict=True))


def routed(net, **options):
    return nd.route(net, hidden=muon, vector=adamw, head=adamw, **options)


def of(rule):
    return lambda net, **options: rule(net.parameters(), **options)


def sharded():
    return fully_shard(model())


def refusal(call) -> str:
    try:
        call()
    except NormdslError as refused:
        return str(refused)
    return ""


def wired(rank):
    """Return how far a matrix that travels in bfloat16 is from what one process says of it."""
    mesh, draw = init_device_mesh("cpu", (WORLD,)), torch.Generator().manual_seed(0)
    start, *slopes = (torch.randn(6, 6, dtype=torch.float64, generator=draw) for _ in range(4))
    schedule, place = nd.Schedule(wire="bfloat16"), lambda x: distribute_tensor(x, mesh, [Shard(0)])
    param, pure, w = nn.Parameter(place(start)), Wired(muon, schedule, WORLD, "rows"), start
    opt, state = muon([param], schedule=schedule), pure.init(w)
    for g in slopes:
        param.grad = place(g)
        opt.step()
        w, state = pure.update(g, state, w)
    return float((whole(param) - w).abs().max())


def overlapped(rank):
    """Return how far square layers in convoys are from one process, and whether there were some."""
    usual, convoys.MESSAGE = convoys.MESSAGE, 1
    try:
        torch.manual_seed(0)
        alone = nn.Sequential(*(nn.Linear(6, 6, bias=False) for _ in range(4))).double()
        net = fully_shard(copy.deepcopy(alone))
        opt = muon(net.parameters())
        ours, theirs = trained(net, opt, rank), trained(alone, of(muon)(alone, **ALONE), None)
        apart = max(float((x - y).abs().max()) for x, y in zip(ours, theirs, strict=True))
        return apart, "convoys, each of which travels" in str(opt.explain())
    finally:
        convoys.MESSAGE = usual


def nan_on_one(rank, **options):
    """Return the refusal, what moved and step counts, of a NaN that one process has."""
    net = sharded()
    opt = routed(net, **options)
    trained(net, opt, rank, 1)
    before = [whole(p) for p in net.parameters()]
    if rank == 0:
        net[0].weight.grad.to_local()[0, 0] = torch.nan
    said = refusal(opt.step)
    moved = [not torch.equal(whole(p), w) for p, w in zip(net.parameters(), before, strict=True)]
    return said, moved, [int(opt.state[p]["step"]) for p in net.parameters()]


def saved(rank, folder):
    """Return how far states are from those saved, and how they are placed."""
    net = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 1, bias=False)).double()
    fully_shard(net)
    opts = [shampoo(net.parameters()) for _ in range(2)]
    trained(net, opts[0], rank, 2)
    opts[1].init_state()
    state, fresh = (dict(enumerate(o.state_dict()["state"].values())) for o in opts)
    kept = [x for own in state.values() for x in own.values() if isinstance(x, DTensor)]
    dcp.save(state, checkpoint_id=folder)
    dcp.load(fresh, checkpoint_id=folder)
    pairs = [(state[k][n], fresh[k][n]) for k in state for n in state[k]]
    apart = max(float((whole(a) - whole(b)).abs().max()) for a, b in pairs)
    return apart, any(x.is_partial() for own in kept for x in own.placements)


def replicas(rank):
    """Return what comes of rules that read more than gradients, under DDP."""
    ddp = DistributedDataParallel(model())
    wrapped = lambda rule, **options: of(rule)(ddp, **options)  # noqa: E731
    run = lambda opt, **given: refusal(lambda: opt.step(**given))  # noqa: E731
    ddp(batch(0, rank)).square().mean().backward()
    part = nn.Parameter(torch.full((2, 2), 1.0 + rank))  # layers that are alike
    part.grad = torch.ones_like(part)
    return {
        "loss": error(of(polyak_sgd), DistributedDataParallel(model()), rank, replicas=True),
        "unsaid": [run(wrapped(rule), loss=1.0) for rule in (polyak_sgd, clipped_sgd)],
        "fine": run(wrapped(adamw)),
        "no loss": run(wrapped(polyak_sgd, replicas=True), **({"loss": 1.0} if rank else {})),
        "seeds": run(wrapped(dp_sgd, replicas=True, seed=rank)),
        "layers": run(clipped_sgd([part], replicas=True)),
        "moments": moments(rank),
    }


def moments(rank):
    """Return how far K-FAC under DDP is from one process; and what it says of lacking moments."""
    found = []
    for own in (rank, None):
        torch.manual_seed(0)
        net = nn.Linear(6, 6, bias=False).double()
        seen = nd.capture(net)
        opt = kfac(net.parameters(), capture=seen, replicas=own is not None)
        run = DistributedDataParallel(net) if own is not None else net
        run(batch(0, own)).square().mean().backward()
        opt.step()
        found.append(net.weight.detach().clone())
        if own is not None:
            run(batch(0, own)).square().mean().backward()
            seen.clear(() if own else None)  # one process has seen nothing
            said = refusal(opt.step)
    return float((found[0] - found[1]).abs().max()), said


def early():
    """Return what an optimizer says that was made before its model was sharded."""
    net = model()
    opt = adamw(net.parameters())
    fully_shard(net)
    net(batch(0, None)).square().mean().backward()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        opt.step()
        opt.step()
    return [str(x.message) for x in said]


def main(rank: int, store: str, folder: str) -> None:
    with group(rank, WORLD, store):
        found = {
            "routed": error(routed, sharded(), rank),
            "clipped": error(of(clipped_sgd), sharded(), rank),
            "drawn": error(of(dp_sgd), sharded(), rank),
            "loss": error(of(polyak_sgd), sharded(), rank),
            "wired": wired(rank),
            "overlapped": overlapped(rank),
            "raise": nan_on_one(rank),
            "skip": nan_on_one(rank, nonfinite="skip"),
            "saved": saved(rank, folder),
            "replicas": replicas(rank),
            "early": early(),
        }
        tell(store, rank, found)


if __name__ == "__main__":
    start(main, WORLD, *sys.argv[1:])
