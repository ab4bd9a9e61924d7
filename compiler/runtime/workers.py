"""Workers that are processes: which they are, at which steps they meet, and what they send.

Steps at which no worker needs a mean send nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, distributed

from normdsl.compiler.batches.across_workers import Batches, Meeting
from normdsl.compiler.batches.inputs import Known, on_the_host
from normdsl.compiler.batches.replicas import Replicas
from normdsl.compiler.batches.sharing import Scalar
from normdsl.compiler.buckets.buckets import Bucket
from normdsl.compiler.evaluations.asking import Oracle, together
from normdsl.compiler.layouts.draws import hashed
from normdsl.compiler.runtime.parameter_groups import Settings
from normdsl.declarations.rule import Rule
from normdsl.errors import HyperparameterError
from normdsl.expressions.nodes import Param
from normdsl.expressions.traversal import walk


@attrs.frozen(eq=False)
class Workers:
    """The workers that a step of this process is taken with.

    As a mesh of processes, it is what they agree over whether a step is finite.

    Args:
        processes: the workers. needed: for each bucket which of its means this step needs.
    """

    processes: Replicas
    needed: Sequence[Sequence[bool]]

    @property
    def meet(self) -> bool:
        """Whether anything is averaged at this step."""
        return any(map(any, self.needed))

    @property
    def device_type(self) -> str:
        """Where what they send is."""
        return self.processes.device.type

    @property
    def ndim(self) -> int:
        """How many axes of processes there are."""
        return len(self.processes.groups)

    def get_group(self, axis: int) -> Any:
        """Return the processes along an axis."""
        return self.processes.groups[axis]

    def told(
        self, batches: Batches, joined: Sequence[Scalar], places: Sequence[int], oracle: Oracle
    ) -> list[Known]:
        """Return what batches are told of layers, of workers, and of the loss.

        Args:
            batches: what steps together. joined: the scalars that rules combine over layers.
            places: for each batch, the number of its bucket. oracle: answers questions of the loss.
        """
        needed = [self.needed[k] for k in places]
        return together([batches], [oracle], Meeting([batches], joined, needed, self._average))[0]

    def _average(self, own: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Return the means over all workers of tensors, by one reduction for each dtype."""
        (values,) = own
        found: dict[int, Tensor] = {}
        for dtype in dict.fromkeys(x.dtype for x in values):
            same = [k for k, x in enumerate(values) if x.dtype == dtype]
            flat = torch.cat([values[k].reshape(-1).to(self.processes.device) for k in same])
            count = 1
            for group in self.processes.groups:
                distributed.all_reduce(flat, group=group)
                count *= distributed.get_world_size(group)
            parts = torch.split(flat / count, [values[k].numel() for k in same])
            found |= {k: x.reshape(values[k].shape) for k, x in zip(same, parts, strict=True)}
        return [found[k].to(x.device) for k, x in enumerate(values)]


def workers(
    processes: Replicas, buckets: Sequence[Bucket], hypers: Sequence[Mapping[str, Any]]
) -> Workers:
    """Return the workers with whom a step is taken, which have the same parameters to step.

    Args:
        processes: the workers. buckets: what steps. hypers: the hyper-parameters of each.

    Raises:
        HyperparameterError: if this step needs a mean, and other workers step otherwise.
    """
    needed = [_needed(*both) for both in zip(buckets, hypers, strict=True)]
    found = Workers(processes, needed)
    if found.meet:
        own = [(b.done, [tuple(p.shape) for p in b.params], b.params[0].dtype) for b in buckets]
        if any(processes.differ([hashed(str((own, needed))) >> 1])):
            rule = next(b for b in buckets if b.stepper.program.workers).stepper.program.declaration
            raise HyperparameterError(
                f"average over the workers of {rule.name}",
                why="they have other parameters with a gradient, have taken another number of "
                "steps, or average at other ones",
                hint="give all of them the same parameters, periods and number of batches, and "
                "load checkpoints on all or on none",
            )
    return found


def _needed(bucket: Bucket, hyper: Mapping[str, Any]) -> Sequence[bool]:
    """Return which means over workers the next step of a bucket needs."""
    meets = bucket.stepper.program.meets
    if meets is None:
        return ()
    like = torch.empty((), dtype=torch.float64, device="cpu").expand(1, *bucket.shapes[0])
    return meets(like, t=on_the_host(float(bucket.done + 1)), **hyper)


def periods(said: Settings, group: Mapping[str, Any]) -> list[str]:
    """Return the comparisons that say when a group averages over workers, and what they read."""
    if not said.rule.averages:
        return []
    ways = attrs.evolve(said, workers=True).stepper.program.needed.values()
    facts = {fact for way in ways for told in way for fact in told}
    params = {
        x.name
        for _, *sides, _ in facts
        for side in sides
        for x in walk(side)
        if isinstance(x, Param)
    }
    return [
        *sorted(map(str, facts)),
        *(f"{name} = {float(group[name])}" for name in sorted(params)),
    ]


def require_averaging(rules: Sequence[Rule], nonfinite: str) -> None:
    """Refuse an optimizer of several workers some of whose parameters would drift apart.

    Raises:
        HyperparameterError: if one of its rules averages nothing, or parameters may skip steps.
    """
    averaging = next(rule for rule in rules if rule.averages)
    other = next((rule for rule in rules if not rule.averages), None)
    asked = f"take steps of {averaging.name} on several workers"
    if other is not None:
        raise HyperparameterError(
            f"{asked}, beside {other.name}",
            why=f"{other.name} averages nothing over workers, whose gradients are their own, so "
            "that its parameters would differ more and more",
            hint=f'{other.name}.on_gradient(lambda G: nd.mean(G, over="workers")) steps by the '
            "mean gradient",
        )
    if nonfinite == "skip":
        raise HyperparameterError(
            f'{asked} with nonfinite="skip"',
            why="a worker that skips a step would meet the others at another one",
            hint='use nonfinite="raise": a step at which workers meet is then refused by all',
        )
