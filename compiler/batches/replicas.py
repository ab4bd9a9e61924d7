"""Replicas: processes that train one model, each on samples of its own, and what they average.

Wrappers average gradients. What else a step reads of samples, the loss and the moments of layers,
is averaged here; what must be equal, such as seeds, is compared, and refused by all processes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, distributed

from normdsl.compiler.layouts.draws import hashed
from normdsl.compiler.layouts.shards import is_sharded, meshes_of
from normdsl.compiler.layouts.stepper import Stepper
from normdsl.errors import GradientError, HyperparameterError
from normdsl.expressions.nodes import Asked
from normdsl.schedules.methods import DoubleBackward


@attrs.frozen(eq=False)
class Replicas:
    """The processes whose models are one; none, if this process trains one of its own.

    Args:
        groups: of processes, along each axis of a mesh. device: of what they exchange.
    """

    groups: tuple[Any, ...] = ()
    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))

    def mean(self, values: Sequence[Tensor] | None) -> list[Tensor] | None:
        """Return means of tensors over the processes; None if one of them has none, on all of them.

        Args:
            values: the tensors; None for none. On all processes they have the same shapes.
        """
        if not self.groups:
            return None if values is None else list(values)
        lacking = self._most([int(values is None)])
        if lacking[0] or values is None:
            return None
        flat = torch.cat([x.detach().reshape(-1).to(self.device, torch.float64) for x in values])
        flat = torch.cat([flat, torch.ones_like(flat[:1])])
        for group in self.groups:
            distributed.all_reduce(flat, group=group)
        count = flat[-1]  # of those that took part
        parts = torch.split(flat[:-1] / count, [x.numel() for x in values])
        return [part.reshape(x.shape).to(x) for part, x in zip(parts, values, strict=True)]

    def differ(self, numbers: Sequence[int]) -> list[bool]:
        """Return which of several whole numbers are not the same on all processes."""
        both = self._most([*numbers, *(-x for x in numbers)])
        return [a != -b for a, b in zip(both[: len(numbers)], both[len(numbers) :], strict=True)]

    def _most(self, numbers: Sequence[int]) -> list[int]:
        found = torch.tensor(numbers, dtype=torch.int64, device="cpu").to(self.device)
        for group in self.groups:
            distributed.all_reduce(found, distributed.ReduceOp.MAX, group=group)
        told: list[int] = found.tolist()
        return told


def replicas(said: Any, steppers: Sequence[Stepper], params: Sequence[Tensor]) -> Replicas:
    """Return the processes that train the model with this one.

    Those that hold its parameters together are known. Others are told: whether processes with plain
    parameters train one model or several cannot be seen.

    Args:
        said: the option of the optimizer: a process group, True for all processes, False for none,
            None for what can be seen. steppers: of its rules. params: its parameters.

    Raises:
        HyperparameterError: if a rule needs to know, and it was not said.
    """
    world = processes()
    if world == 1 or said is False or not params:
        return Replicas()
    meshes = meshes_of(params)
    device = params[0].device
    if said is not None:
        group = distributed.group.WORLD if said is True else said
        found = Replicas((group,), device)
    else:
        groups = [mesh.get_group(k) for mesh in meshes for k in range(mesh.ndim)]
        found = Replicas(tuple(groups), device)
    seen = any(mesh.size() == world for mesh in meshes)
    for stepper in steppers:
        averages = stepper.program.declaration.averages  # where processes share what they hold
        if said is None and (averages or not seen) and _reads(stepper):
            raise _unsaid(stepper, world)
        if found.groups and not averages and _products(stepper):
            raise HyperparameterError(
                f"take a step of {stepper.program.declaration.name} on {world} processes",
                why="a product with the Hessian by double backward is that of this process's "
                "sample alone, as wrappers average gradients only",
                hint="use schedule=nd.Schedule(hessian=nd.Differences())",
            )
    return found


def require_alike(
    together: Replicas,
    steppers: Sequence[Stepper],
    seeds: Sequence[int],
    params: Sequence[Tensor],
    begin: bool = True,
    periods: Sequence[str] = (),
) -> None:
    """Refuse processes that would step apart, on all of them.

    Parts of layers that are alike have equal shapes, and are told apart by their entries.

    Args:
        together: the processes. steppers: of the rules. seeds: of their random numbers.
        params: the parameters. begin: whether none of them has stepped.
        periods: what says when rules average over workers.

    Raises:
        HyperparameterError: for rules that draw, if seeds differ; for those that combine all
            layers, if processes have other parameters; for those that average over workers, if
            these begin with other weights, or average at other steps.
    """
    draws, joins = any(s.draws for s in steppers), [s for s in steppers if s.program.layers]
    averages = [s for s in steppers if s.program.declaration.averages]
    joins = [] if averages else joins  # later, weights are each worker's own
    if not together.groups or not (draws or joins or averages):
        return
    read = joins or begin
    entries = [_bits(p) for p in params] if read and not any(map(is_sharded, params)) else []
    layers = [tuple(p.shape) for p in params], entries
    told = seeds, layers, periods
    seeds_differ, layers_differ, periods_differ = together.differ(
        [hashed(str(x)) >> 1 for x in told]
    )
    if draws and seeds_differ:
        raise HyperparameterError(
            f"draw random numbers from the seeds {', '.join(map(str, seeds))}",
            why="other processes that train the same model have other seeds, and would draw others",
            hint="give the optimizer one seed on all processes; leave seed=… out for 0",
        )
    if averages and (layers_differ or periods_differ):
        raise HyperparameterError(
            f"begin the workers of {averages[0].program.declaration.name}",
            why="the shapes or entries of their parameters differ"
            if layers_differ
            else "the hyper-parameters differ that say at which steps they meet",
            hint="begin with the same weights: torch.distributed.broadcast(p.data, src=0) for each "
            "parameter p; and load checkpoints of the optimizer with them"
            if layers_differ
            else "give all workers the same periods",
        )
    if joins and layers_differ:
        raise HyperparameterError(
            f"take a step of {joins[0].program.declaration.name}, which combines all layers, "
            "together with processes that have other parameters",
            why="they are said to train one model, and the shapes or entries of their parameters "
            "differ, as under ZeroRedundancyOptimizer, or where layers or experts are divided "
            "among processes: each would combine its own layers",
            hint="use DistributedDataParallel or fully_shard, by which every process sees all "
            'layers; or a rule without over="layers"; replicas=False for models of their own',
        )


def _bits(x: Tensor) -> int:
    """Return the sum of the bits of all entries, in any order, as whole numbers."""
    x = torch.view_as_real(x) if x.is_complex() else x
    kinds = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return int(x.detach().contiguous().view(kinds[x.dtype.itemsize]).sum(dtype=torch.int64))


def processes() -> int:
    """Return how many processes there are."""
    known = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if known else 1


def group_size(said: Any) -> int:
    """Return how many processes an optimizer was told of that train one model; 1 if it was not."""
    if processes() == 1 or said in (None, False):
        return 1
    size: int = distributed.get_world_size(None if said is True else said)
    return size


def warn_if_replaced(param_groups: Sequence[Mapping[str, Any]]) -> bool:
    """Warn of parameters that a wrapper may have replaced; return whether it was said.

    `fully_shard` gives a model other parameters, and the old ones no gradient any more.

    Args:
        param_groups: of an optimizer none of whose parameters has a gradient.
    """
    params = [p for group in param_groups for p in group["params"] if p.requires_grad]
    known = distributed.is_available() and distributed.is_initialized()
    if not known or not params or any(map(is_sharded, params)):
        return False
    warnings.warn(
        f"none of the {len(params)} parameters of this optimizer has a gradient, so that nothing "
        "moves: fully_shard(model) and other wrappers give a model new parameters; make the "
        "optimizer after them",
        stacklevel=2,
    )
    return True


def _reads(stepper: Stepper) -> str:
    """Return what a rule reads of samples besides gradients, or of others, in words."""
    if stepper.program.declaration.averages:
        return "means over workers"
    asked = {query.asked for phase in stepper.program.phases for query in phase.asked}
    if stepper.reads_loss or Asked.LOSS in asked:
        return "the loss"
    if stepper.moments:
        return "moments of layers"
    if asked & {Asked.HESSIAN_PRODUCT, Asked.HESSIAN, Asked.GAUSS_NEWTON_PRODUCT}:
        return "products with the Hessian"
    return "all layers" if stepper.program.layers else ""


def _products(stepper: Stepper) -> bool:
    phases = stepper.program.phases
    graphs = any(Asked.GAUSS_NEWTON_PRODUCT in phase.kinds for phase in phases)
    curved = any(phase.curved for phase in phases)
    return graphs or (curved and isinstance(stepper.program.schedule.hessian, DoubleBackward))


def _unsaid(stepper: Stepper, world: int) -> HyperparameterError:
    return HyperparameterError(
        f"take a step of {stepper.program.declaration.name} in one of {world} processes",
        why=f"the rule reads {_reads(stepper)}, and it cannot be seen whether all processes "
        "train one model (then these must be those of all) or each its own",
        hint="say replicas=True if every process has all layers of one model, as under "
        "DistributedDataParallel; replicas=False if each trains a model of its own; or pass the "
        "process group of the replicas",
    )


def no_loss(rule: str) -> GradientError:
    """Return the error for a loss that another process lacks."""
    return GradientError(
        f"take a step of {rule}",
        why="another process that trains the same model has no loss, or not one number",
        hint="pass the loss on all processes, opt.step(closure) or opt.step(loss=loss)",
    )


def no_moments(rule: str) -> GradientError:
    """Return the error for moments that another process lacks."""
    return GradientError(
        f"take a step of {rule}",
        why="the capture of another process that trains the same model has seen no backward pass",
        hint="run every captured layer on all processes between steps",
    )
