"""Plan: which parameters step together; made once from metadata, and good for many steps."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import attrs
import torch
from torch import Tensor

from normdsl.compiler.batches.members import Member
from normdsl.compiler.batches.nonfinite import has_values
from normdsl.compiler.batches.sharing import Scalar, scalars
from normdsl.compiler.batches.starts import require_gradient, started
from normdsl.compiler.buckets.alone import localised
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.buckets.entries import Entries
from normdsl.compiler.buckets.executors import bucket
from normdsl.compiler.buckets.gathered import Gathered
from normdsl.compiler.buckets.guards import Plain, guards
from normdsl.compiler.buckets.idle import Idle
from normdsl.compiler.buckets.loose import Loose
from normdsl.compiler.buckets.matrices import Matrices, is_resident
from normdsl.compiler.buckets.memory import Memory
from normdsl.compiler.layouts import draws
from normdsl.compiler.layouts.flattened import flattened_by
from normdsl.compiler.layouts.layout import OFFSET, STEP, layout, require
from normdsl.compiler.layouts.shards import is_sharded, local, mesh_of, meshes_of
from normdsl.compiler.layouts.tuples import neighbours, tuple_of
from normdsl.compiler.layouts.ways import held
from normdsl.compiler.runtime import parameter_groups
from normdsl.compiler.runtime.listed import Listed, listed
from normdsl.compiler.runtime.parameter_groups import settings
from normdsl.compiler.runtime.published import Published
from normdsl.compiler.runtime.readings import Reading, Readings
from normdsl.compiler.runtime.staggering import Turn, dealt
from normdsl.compiler.sharded.divided import Divided
from normdsl.compiler.sharded.owning import owned

State = Mapping[Tensor, dict[str, Any]]
#: Entries of the largest batch of matrices, which bounds the memory that a step needs.
LARGEST = 2**24
#: The same on CPUs: what is in their cache need not be fetched again, and large matrices, which
#: then step alone and in place, are not worth a batch.
LARGEST_ON_CPU = 2**18
#: Entries of the largest matrix that stands in a batch transposed, for which it is copied: beyond,
#: the calls that are saved take less time than the work on one shape.
TURNED = 2**20
TURNED_ON_CPU = 2**14
#: A gradient above this power of the largest number is very large.
_LARGE = 0.375


class Plan:
    """The buckets of an optimizer's parameters, and what they share.

    Args:
        groups: as they were. alike: for each the first group with its hyper-parameters.
        buckets: in order. skips: whether parameters may stop to step together.
        joined: the scalars of all layers that their rules combine.
        meshes: the processes that hold parameters together, which step or refuse together.
        asks: whether any of their rules evaluates the loss again. tells: whether any is told of
            other layers or workers, or of that. reads: whether any reads the loss, moments or
            other parameters.
        decides: whether their device can decide whether they step, and the host asks it after.
        bound: the magnitude above which a gradient is very large.
        workers: whether several workers run the rules.
    """

    def __init__(
        self,
        groups: Sequence[Listed],
        alike: Sequence[int],
        buckets: Sequence[Bucket],
        skips: bool,
        workers: bool = False,
    ) -> None:
        self.groups, self.alike, self.buckets, self.skips = groups, alike, buckets, skips
        self.workers = workers
        steppers = dict.fromkeys(b.stepper for b in buckets)
        self.joined: Sequence[Scalar] = scalars(tuple(steppers)) if steppers else ()
        self.meshes = meshes_of(p for bucket in buckets for p in bucket.params)
        self.asks = any(stepper.program.phases for stepper in steppers)
        self.tells = any(stepper.is_told for stepper in steppers)
        self.reads = any(s.reads_loss or s.moments or s.reads_others for s in steppers)
        together = len({own.clocks.device for own in buckets}) == 1 and not self.meshes
        self.decides = together and not self.asks and all(own.decides for own in buckets)
        dtypes = {own.params[0].dtype for own in buckets}
        self.bound = min((torch.finfo(d).max for d in dtypes), default=1.0) ** _LARGE
        params = [p for own in buckets for p in own.params]
        self.guards = guards(params, any(own.is_native for own in buckets))
        counts = [len(own.params) for own in buckets]
        for own, first in zip(buckets, accumulate([0, *counts]), strict=False):
            own.join(self.guards, first)
        places = self.guards.places
        self._places: Sequence[Sequence[Tensor] | None] = [None] * len(buckets)
        if places is not None:
            self._places = [x.unbind() for x in torch.split(places, counts, 1)]
        self._published: Published | None = None

    def name(self, param: Tensor, group: int) -> str | None:
        """Return what a parameter of a group is called, if it was given with a name."""
        listed = self.groups[group]
        names = listed.names if isinstance(listed.names, Sequence) else ()
        pairs = zip(listed.params, names, strict=False)
        return next((str(name) for x, name in pairs if x is param), None)

    def holds(
        self,
        param_groups: Sequence[Mapping[str, Any]],
        readings: Readings,
        state: State,
        skips: bool,
        workers: bool = False,
    ) -> bool:
        """Return whether the next step goes by this plan."""
        return (
            (skips, workers) == (self.skips, self.workers)
            and readings.alike == self.alike
            and len(param_groups) == len(self.groups)
            and all(
                own.holds(group, said.settings)
                for own, group, said in zip(self.groups, param_groups, readings.each, strict=True)
            )
            and self.guards.hold()
            and (self._published is None or self._published.holds(state))
        )

    def locate(self) -> None:
        """Tell buckets where weights and gradients are, once it is known that the plan holds."""
        for own, places in zip(self.buckets, self._places, strict=True):
            own.locate(places)

    def settle(self, state: State) -> None:
        """Note how things are after a step, by which the next one knows what others changed."""
        self.guards.note()
        if self._published is None:
            self._published = Published(state, self.buckets, isinstance(self.guards, Plain))

    def let_go(self) -> None:
        """Cut gradients off their graphs, which hold all that an evaluation of the loss took."""
        for own in self.buckets:
            for p in own.params:
                if p.grad is not None and p.grad.requires_grad:
                    p.grad = p.grad.detach()

    def unseen(self) -> Sequence[Bucket]:
        """Return the buckets, if others have written any of their parameters since a step."""
        return self.buckets if self.guards.written else []


def planned(
    param_groups: Sequence[dict[str, Any]],
    readings: Readings,
    state: State,
    skips: bool,
    workers: bool = False,
) -> Plan:
    """Return the plan of the parameters that have a gradient.

    Args:
        param_groups: of the optimizer. readings: what they say. state: of parameters.
        skips: whether a step that is not finite is left out, parameter by parameter.
        workers: whether several workers run the rules.

    Raises:
        GradientError: for a gradient the rule cannot take, or a state that is not the rule's.
        DeclarationError: if it is not clear which scalars of all layers the rules share.
    """
    groups, members, first = list[Listed](), list[Member](), 0
    seen: set[Tensor] = set()
    for k, (group, said) in enumerate(zip(param_groups, readings.each, strict=True)):
        own = list(_members(group, k, said, state, first, seen, workers))
        members += own
        groups.append(listed(group, said.settings, [m.param for m in own]))
        first += len(group["params"])
    buckets = list(_buckets(owned(_staggered(members)), groups, readings.alike, skips))
    made = Plan(groups, readings.alike, buckets, skips, workers)
    made.guards.hold()
    return made


def _members(
    group: Mapping[str, Any],
    number: int,
    reading: Reading,
    state: State,
    first: int,
    seen: set[Tensor],
    workers: bool,
) -> Iterator[Member]:
    """Yield the parameters of a group that step, with complete states."""
    params = parameter_groups.parameters(group)
    origins, found = None, []
    hyper = reading.hyper
    each = attrs.evolve(reading.settings, workers=workers).each(params)
    for k, (p, said) in enumerate(zip(params, each, strict=True)):
        together = tuple_of(said.rule, params, k)
        if p.requires_grad and flattened_by(p):
            require(said.stepper, p, said.view)  # also where this process has no part of it
        if p in seen or not all(x.grad is not None and x.numel() for x in together):
            continue
        assert p.grad is not None
        seen.add(p)
        stepper = said.stepper
        if stepper.draws and origins is None:
            origins = origins_of(group, first)
        own = layout(stepper, p, said.view)
        require_gradient(said.rule.name, p, p.grad)
        had = state.get(p, {})
        fresh = own.begins(had, p.device)
        start = origins.get(p) if origins and stepper.draws else None
        near = neighbours(said.sized, said.rule, together, said.maximize)
        by = held(own, p) if is_sharded(p) and not stepper.entrywise else None
        had = {**started(own, p, hyper, start, near), **had} if fresh else had
        made = Member(p, own, number, had, 0, fresh, None, start, near, by)
        found.append(attrs.evolve(made, state=localised(made)) if made.steps_alone else made)
    old = [k for k, m in enumerate(found) if STEP in state.get(m.param, {})]
    told = [found[k].state[STEP] for k in old]
    keeping = [k for k in old if found[k].layout.stepper.keeps and OFFSET in found[k].state]
    counts = _counts([*told, *(found[k].state[OFFSET] for k in keeping)])
    for k, done in zip(old, counts, strict=False):
        found[k] = attrs.evolve(found[k], done=done)
    for k, offset in zip(keeping, counts[len(old) :], strict=True):
        found[k] = attrs.evolve(found[k], offset=offset)
    yield from found


def _staggered(members: Sequence[Member]) -> list[Member]:
    """Return the members with an offset each, which those that begin to keep values are dealt.

    One whose values were kept by a version that knew no offsets goes on as it did there.
    """
    turns = {m.param: Turn(m.layout.stepper.program, m.layout.sizes) for m in members}
    keeping = [m for m in members if m.layout.stepper.keeps]
    new = [m for m in keeping if m.offset is None and (m.fresh or not m.done)]
    begun = [(turns[m.param], m.done + m.offset) for m in keeping if m.offset is not None]
    offsets = dict(
        zip([m.param for m in new], dealt([turns[m.param] for m in new], begun), strict=True)
    )
    return [
        attrs.evolve(m, offset=offsets.get(m.param, 0)) if m.offset is None else m for m in members
    ]


def _counts(clocks: Sequence[Tensor]) -> list[int]:
    """Return step counts, read from the device at once; one without a value counts as none."""
    if not clocks or not all(map(has_values, clocks)):
        return [0] * len(clocks)
    first = clocks[0]
    told: list[int] = torch.stack([x.to(first.device, torch.int64) for x in clocks]).tolist()
    return told


def _buckets(
    members: Iterable[Member], groups: Sequence[Listed], alike: Sequence[int], skips: bool
) -> Iterator[Bucket]:
    """Yield the buckets of parameters."""
    found: dict[tuple[Any, ...], list[Member]] = defaultdict(list)
    memory = Memory()
    for m in members:
        found[_kind(m), alike[m.group], groups[m.group].settings.maximize].append(m)
    for ((sort, size, *_), _, maximize), own in found.items():
        same = sorted(own, key=lambda m: m.layout.stepper.place(m.offset or 0))
        if sort is Matrices and same[0].layout.stepper.transposes:
            same.sort(key=lambda m: m.layout.sizes[0])  # no turns; wide matrices first
        most = _most(size, same[0].param.device.type, len(same))
        entries = sum(m.param.numel() for m in same)
        for k in range(0, len(same), most):
            part = same[k : k + most]
            # Where values are kept, those that skip a step are planned anew after it.
            uniform = not skips or part[0].layout.stepper.keeps
            made = bucket(sort, part, maximize, uniform, entries)
            made.memory = memory
            made.forget()
            yield made


def _kind(m: Member) -> tuple[Any, ...]:
    """Return the class of a parameter's bucket, a batch's size, and what members have in common."""
    p, stepper = m.param, m.layout.stepper
    assert p.grad is not None
    common = (stepper, m.done, m.fresh, p.dtype, p.device, p.grad.dtype, mesh_of(p))
    if is_sharded(p) and not stepper.entrywise:
        if m.held is None:
            return Gathered, (), id(p), common
        if not m.steps_alone:
            return Divided, (), common
        # The same on all processes, whose parts may be uneven.
        size = (m.held.most, *m.layout.sizes[0][1:])
        if is_resident(m.layout.view, m.layout.shape):
            return (Matrices if m.part else Idle), size, m.layout, m.held, common
        return (Loose if m.part else Idle), (), id(p), common
    if not _stacks(m):
        return Loose, (), id(p), common
    if stepper.entrywise:
        return Entries, (), common
    return Matrices, _batch(m), common


def _batch(m: Member) -> tuple[int, int, int]:
    """Return count, rows and columns of matrices as they stand in a batch: wide, if they may."""
    count, rows, cols = m.layout.sizes[0]
    stepper, most = m.layout.stepper, TURNED_ON_CPU if m.param.device.type == "cpu" else TURNED
    turns = stepper.transposes and stepper.dtype(m.param) != torch.float64  # which is by the SVD
    if turns and cols < rows <= most // cols and is_resident(m.layout.view, m.layout.shape, True):
        return count, cols, rows
    return count, rows, cols


def _most(size: Sequence[int], device: str, count: int) -> int:
    """Return how many of `count` parameters a bucket has at most, if they are batches of matrices.

    Buckets are equally large, as they step side by side.
    """
    if not size:
        return sys.maxsize
    entries = min(LARGEST, LARGEST_ON_CPU) if device == "cpu" else LARGEST
    buckets = -(-count // max(1, entries // math.prod(size)))
    return -(-count // buckets)


def _stacks(member: Member) -> bool:
    """Return whether a parameter's matrices can stand in a batch, and its states in a buffer.

    States of its shape are laid out in memory as the parameter, which a batch of the matrices of a
    tensor with more axes may not be.
    """
    param, layout = local(member.param), member.layout
    plain = type(param) in (Tensor, torch.nn.Parameter) and not (param.is_conj() or param.is_neg())
    if is_sharded(member.param):
        return plain and layout.stepper.entrywise
    if layout.stepper.entrywise:
        like = torch.empty_like(param, device="meta")  # of the same strides, if these are dense
        return plain and like.stride() == param.stride()
    usual = param.ndim <= 2 or param.is_contiguous()
    return plain and usual and is_resident(layout.view, layout.shape)


def origins_of(group: Mapping[str, Any], first: int) -> dict[Tensor, Tensor]:
    """Return where the random numbers of a group's parameters start: by name, or else position.

    Parameters that a rule takes at once have those of the first of them.
    """
    said, params = settings(group), group["params"]
    names = group.get("param_names") or [str(first + k) for k in range(len(params))]
    each = max(1, len(said.rule.ports))
    leads = (names[k - k % each] for k in range(len(params)))
    return {
        p: draws.origin(said.seed, name, p.device) for p, name in zip(params, leads, strict=True)
    }
