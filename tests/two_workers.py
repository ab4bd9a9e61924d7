"""Two processes that are workers of one rule, by gloo; each writes what it saw, as JSON.

Run by `tests/compiler/runtime/test_workers.py`, as one pair of processes for all of its tests.
Argument: a file in which they find each other, beside which they write.
"""

import copy
import sys

import torch
from processes import group, start, tell
from torch import distributed, nn
from torch.func import functional_call, grad

import normdsl as nd
from normdsl.algorithms import adamw, clipped_sgd, des_loc, diloco, ef21, kl_shampoo, muon, sam
from normdsl.compiler.runtime.optimizer import DeclaredOptimizer
from normdsl.errors import NormdslError

WORLD = 2
MEAN = {rule.name: rule.on_gradient(lambda G: nd.mean(G, over="workers"))
        for rule in (adamw, clipped_sgd, kl_shampoo, muon, sam)}  # fmt: skip
TURNS = nd.Schedule(refresh=2)
PERIODS = {"period": 2, "period1": 3, "period2": 4}


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 1, bias=False)).double()


def batch(k: int, rank: int | None) -> torch.Tensor:
    x = torch.randn(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(k))
    return x if rank is None else x.chunk(WORLD)[rank]


def trained(net, opt, rank, steps=range(5)):
    for k in steps:

        def closure(k=k):
            opt.zero_grad()
            loss = net(batch(k, rank)).square().mean()
            with torch.enable_grad():
                loss.backward()
            return loss

        with torch.enable_grad():
            opt.step(closure)
    return [p.detach().clone() for p in net.parameters()]


def apart(xs, ys):
    return max(float((x - y).abs().max()) for x, y in zip(xs, ys, strict=True))


def of_simulation(rule, rank, **hyper):
    """Return how far a worker is from the one that a simulation has."""
    net = model()
    ours = trained(net, rule(net.parameters(), replicas=True, **hyper), rank)
    run, net = nd.simulate(rule, WORLD), model()
    ws = run.copies({k: p.detach() for k, p in net.named_parameters()})
    state = run.init(ws, **hyper)
    for k in range(5):
        each = [
            grad(lambda w, r=r, k=k: functional_call(net, w, batch(k, r)).square().mean())(
                {name: x[r] for name, x in ws.items()}
            )
            for r in range(WORLD)
        ]
        slopes = {name: torch.stack([x[name] for x in each]) for name in ws}
        ws, state = run.update(slopes, state, ws, **hyper)
    return apart(ours, [x[rank] for x in ws.values()])


def of_one_process(name, rank, **options):
    """Return how far steps by mean gradients are from those of a process with all samples."""
    net, alone = model(), model()
    matrices = [[p for p in x.parameters() if p.ndim == 2] for x in (net, alone)]
    ours = trained(net, MEAN[name](matrices[0], replicas=True, **options), rank)
    theirs = trained(alone, MEAN[name](matrices[1], replicas=False, **options), None)
    return apart(ours, theirs)


def sent(net, opt, rank, steps):
    """Return for each step how many numbers each reduction sends."""
    found, reduce = [], distributed.all_reduce
    for k in range(steps):
        found.append([])

        def counted(x, *args, **options):
            found[-1].append(x.numel())
            return reduce(x, *args, **options)

        distributed.all_reduce = counted
        try:
            trained(net, opt, rank, [k])
        finally:
            distributed.all_reduce = reduce
    return found


def refusal(call) -> str:
    try:
        call()
    except NormdslError as refused:
        return str(refused)
    return ""


def nan_on_one(rank, steps):
    """Return the refusal, and whether anything moved, of a NaN in the last of some steps."""
    net = model()
    opt = nd.algorithms.local_sgd(net.parameters(), period=2, replicas=True)
    trained(net, opt, rank, range(steps - 1))
    net(batch(steps, rank)).square().mean().backward()
    before = [p.detach().clone() for p in net.parameters()]
    if rank == 0:
        net[0].weight.grad[0, 0] = torch.nan
    said = refusal(opt.step)
    return said, apart(before, [p.detach() for p in net.parameters()]) > 0


def refused(rank):
    def stepped(rule, net=None, **options):
        net = model() if net is None else net
        net(batch(0, rank)).square().mean().backward()
        return refusal(rule(net.parameters(), **options).step)

    other = model()
    with torch.no_grad():
        other[0].weight += rank
    both = model()
    groups = [{"params": both[0].parameters(), "rule": ef21},
              {"params": both[1].parameters(), "rule": adamw}]  # fmt: skip
    both(batch(0, rank)).square().mean().backward()
    return {
        "unsaid": stepped(ef21),
        "skip": stepped(ef21, replicas=True, nonfinite="skip"),
        "start": stepped(ef21, other, replicas=True),
        "beside": refusal(DeclaredOptimizer(None, groups, replicas=True).step),
        "periods": stepped(nd.algorithms.local_sgd, replicas=True, period=1 + rank),
        "late": late(rank),
        "alone": stepped(ef21, replicas=False),
    }


def late(rank):
    """Return what workers say that have taken different numbers of steps when they meet."""
    net = model()
    opt = nd.algorithms.local_sgd(net.parameters(), period=3, replicas=True)
    trained(net, opt, rank, range(2))
    if rank:
        for state in opt.state.values():
            state["step"].add_(3)
    net(batch(0, rank)).square().mean().backward()
    return refusal(opt.step)


def resumed(rank):
    """Return how far workers are from those that went on, after loading what they saved."""
    net = model()
    opt = des_loc(net.parameters(), **PERIODS, replicas=True)
    trained(net, opt, rank, range(3))
    other, saved = copy.deepcopy(net), copy.deepcopy(opt.state_dict())
    again = des_loc(other.parameters(), **PERIODS, replicas=True)
    again.load_state_dict(saved)
    steps = range(3, 6)
    return apart(trained(net, opt, rank, steps), trained(other, again, rank, steps))


def main(rank: int, store: str) -> None:
    with group(rank, WORLD, store):
        net = model()
        opt = des_loc(net.parameters(), **PERIODS, replicas=True)
        found = {
            "simulated": {
                "des_loc": of_simulation(des_loc, rank, **PERIODS),
                "diloco": of_simulation(diloco, rank, period=2),
                "ef21": of_simulation(ef21, rank),
            },
            "one process": {name: of_one_process(name, rank) for name in MEAN}
            | {"refreshed": of_one_process("kl_shampoo", rank, schedule=TURNS)},
            "sent": sent(net, opt, rank, 5),
            "explained": str(opt.explain()),
            "nan": [nan_on_one(rank, steps) for steps in (1, 2)],
            "refused": refused(rank),
            "resumed": resumed(rank),
        }
        tell(store, rank, found)


if __name__ == "__main__":
    start(main, WORLD, *sys.argv[1:])
