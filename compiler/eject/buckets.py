"""Buckets, as an ejected file has them: parameters that step together, in place.

Texts with places to fill. They do what the runtime's `Entries` and `Matrices` do, without what
these need for skipped steps, several layers and wrappers; tests hold them to the same bits.
"""

from __future__ import annotations

from string import Template

from normdsl.compiler.eject.sights import Sight
from normdsl.compiler.eject.turns import turns
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.program import takes_floats


def bucket(stepper: Stepper, sight: Sight) -> str:
    """Return the source of the buckets of a rule, and of the functions that they call."""
    given = {**_common(stepper), **_loss(stepper)}
    if stepper.entrywise:
        return ENTRIES.substitute(given, turns_held="", decorator=_decorator(stepper))
    return MATRICES.substitute(given, **turns(stepper), matrices=sight.code)


def fuses(stepper: Stepper) -> bool:
    """Return whether what writes entries is compiled, rather than what computes them.

    Inductor (torch 2.13) drops the copy of an old tensor that is passed on and written.
    """
    compiled = bool(stepper.program.schedule.compile)
    return compiled and stepper.entrywise and not any(stepper.passed)


def _decorator(stepper: Stepper) -> str:
    return "@torch.compile(fullgraph=True, dynamic=True)\n" if fuses(stepper) else ""


def _common(stepper: Stepper) -> dict[str, str]:
    schedule = stepper.program.schedule
    work = f"torch.{schedule.dtype}" if schedule.dtype else "torch.promote_types({}, torch.float32)"
    scalars = "{name: torch.as_tensor(x, dtype=self.dtype) for name, x in once.items()}"
    kept = "\n            whole = whole.to(STATES[name] or whole.dtype)"
    space = " " * (4 if stepper.entrywise else 8)
    plain = takes_floats(stepper.program.numbers)
    return {
        "t": "self.done + 1.0" if plain else "torch.tensor(self.done + 1, dtype=self.dtype)",
        "dtype": work.format("first.dtype"),
        "work": work.format("W.dtype"),
        "most": "2**62" if fuses(stepper) else 'CHUNK if first.device.type == "cpu" else 2**24',
        "scalars": f"\n        once = {scalars}" if schedule.compile else "",
        "kept": kept if schedule.state else "",
        "copied": f"\n{space}new = [x.clone() for x in new]" if any(stepper.passed) else "",
        "kept_too": ", *kept" if stepper.program.renewed else "",
    }


def _loss(stepper: Stepper) -> dict[str, str]:
    reads = stepper.reads_loss
    return {
        "loss_given": ", loss" if reads else "",
        "loss_used": ", loss=loss" if reads else "",
        "loss_row": ", loss.to(self.like).reshape(1, 1)" if reads else "",
        "loss_each": ", loss=loss.to(W).reshape(1, 1, 1)" if reads else "",
    }


_ARGUMENTS = """\
    Args:
        params: parameters that have taken equally many steps. state: of the optimizer.
        hyper: their hyper-parameters, for the initial states.
    \"""

    def __init__(self, params, state, hyper):
        first = params[0]
        self.params = params
        self.done = int(state[first].get("step", 0))
        self.dtype = $dtype
        self.clocks = torch.full((len(params),), self.done, device=first.device)
        for p, clock in zip(params, self.clocks):
            state[p]["step"] = clock$turns_held
"""

ENTRIES = Template(
    '''
#: Entries of which what is in between stays in a CPU's cache.
CHUNK = 2**17


def row(tensors):
    """Return tensors as one row, 1 × entries: of a single one the same memory, if it can be."""
    if len(tensors) == 1:
        return tensors[0].reshape(1, -1)
    return torch.cat([x.reshape(1, -1) for x in tensors], -1)


def runs(params):
    """Return lists of parameters: small ones, together up to CHUNK entries, or a larger one."""
    found, room = [], -1
    for p in params:
        if p.numel() > room:
            found.append([])
            room = CHUNK
        found[-1].append(p)
        room -= p.numel()
    return found


${decorator}def write(W, G, olds, once$loss_given):
    """Take the step of some entries, in place."""
    dtype = $work
    new = arrays(W.to(dtype), G.to(dtype), *(x.to(dtype) for x in olds), **once$loss_used)$copied
    for old, x in zip((W, *olds), new):
        old.copy_(x)


class Bucket:
    """Parameters that step together: all their entries as one row, with a row for each state.

'''
    + _ARGUMENTS
    + '''\
        self.like = torch.empty((1, 1), dtype=self.dtype, device=first.device)
        self.runs, self.most = runs(params), $most
        self.states = []
        sizes = [p.numel() for p in params]
        for name, whole in zip(STATES, init(row(params).to(self.dtype), **hyper)):$kept
            self.states.append(whole)
            for p, part in zip(params, whole.split(sizes, -1)):
                part = part.view(p.shape)
                if name in state[p]:
                    part.copy_(state[p][name])
                state[p][name] = part

    def step(self, hyper$loss_given):
        """Take a step with the gradients that the parameters have."""
        once = numbers(self.like, t=$t, **hyper)$scalars
        first = 0
        for params in self.runs:
            W, G = row(params), row([p.grad for p in params])
            last = first + W.numel()
            rows = [W, G, *(x[:, first:last] for x in self.states)]
            for w, g, *olds in zip(*(x.split(self.most, -1) for x in rows)):
                write(w, g, olds, once$loss_row)
            if len(params) > 1 or not params[0].is_contiguous():
                parts = W.split([p.numel() for p in params], -1)
                torch._foreach_copy_(params, [w.view(p.shape) for w, p in zip(parts, params)])
            first = last
        self.done += 1
        self.clocks += 1
'''
)

MATRICES = Template(
    '''
${turns_constants}#: Entries of the largest batch, which bounds the memory of a step, and on CPUs.
LARGEST, LARGEST_ON_CPU = 2**24, 2**18


def matrices(x):
    """Return how a tensor is seen: as a batch of matrices, count × rows × columns."""
    return $matrices


def batch(tensors):
    """Return the matrices of tensors of one size as one batch."""
    return torch.cat([matrices(x) for x in tensors])


class Bucket:
    """Parameters that step together: one batch of matrices of one size, and one of each state.

'''
    + _ARGUMENTS
    + '''\
        self.each = len(matrices(first))
        self.states = []
        for name, whole in zip(STATES, init(batch(params).to(self.dtype), **hyper)):$kept
            self.states.append(whole)
            for p, part in zip(params, whole.split(self.each)):
                part = part.view(p.shape) if name in NATIVE else part[0] if self.each == 1 else part
                if name in state[p]:
                    part.copy_(state[p][name])
                state[p][name] = part

    def step(self, hyper$loss_given):
        """Take a step with the gradients that the parameters have."""
        W = batch(self.params).to(self.dtype)
        G = batch([p.grad for p in self.params]).to(self.dtype)
        once = numbers(W, t=$t, **hyper)$scalars
        olds = [x.to(self.dtype) for x in self.states]$turns_renewed
        W_new, *new = arrays(W, G, *olds$kept_too, **once$loss_each)$copied
        for old, x in zip(self.states, new):
            old.copy_(x)
        parts = zip(W_new.expand_as(W).split(self.each), self.params)
        torch._foreach_copy_(self.params, [w.reshape(p.shape) for w, p in parts])
        self.done += 1
        self.clocks += 1
'''
)
