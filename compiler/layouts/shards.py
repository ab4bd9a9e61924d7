"""Shards: parameters that several processes hold together, each a part, as a DTensor says.

A step never leaves its operations to DTensors: it works on what a process holds, or on whole
tensors that all processes have, and writes what is its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

# What a step reads of each of its DTensors, without a call of Python for any of them.
_part, _mesh, _placements = map(attrgetter, ("_local_tensor", "_spec.mesh", "_spec.placements"))


def is_sharded(x: object) -> bool:
    """Return whether a tensor is a DTensor; there is none before its module was imported."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(x, module.DTensor)


def mesh_of(x: Any) -> Any:
    """Return the mesh of processes that hold a tensor; None for one that is not shared."""
    return x.device_mesh if is_sharded(x) else None


def meshes_of(tensors: Iterable[Tensor]) -> tuple[Any, ...]:
    """Return the meshes of tensors, each once, in an order that all processes have."""
    module = sys.modules.get("torch.distributed.tensor")
    if module is None:
        return ()
    every = list(tensors)
    meshes = list(map(_mesh, compress(every, map(isinstance, every, repeat(module.DTensor)))))
    each = dict(zip(map(id, meshes), meshes, strict=True))  # of which there are few
    return tuple(dict.fromkeys(each.values()))


def local(x: Any) -> Tensor:
    """Return what this process holds of a tensor, in the same memory."""
    found: Tensor = _part(x) if is_sharded(x) else x
    return found


def locals_of(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return what this process holds of DTensors, in the same memory."""
    return list(map(_part, tensors))


def whole(x: Any) -> Tensor:
    """Return all of a tensor, gathered from the processes that hold it."""
    found: Tensor = x.full_tensor() if is_sharded(x) else x
    return found


def aligned(x: Any, param: Any) -> Tensor:
    """Return what this process holds of a tensor, divided among processes as a parameter is.

    Args:
        x: a gradient, which may still be a sum over processes, a state, or a whole tensor.
        param: the parameter, of the same shape.
    """
    if not is_sharded(x):
        return local(placed(x, param))
    if x.placements != param.placements:
        x = x.redistribute(param.device_mesh, param.placements)
    return local(x)


def all_aligned(values: Sequence[Any], params: Sequence[Any]) -> list[Tensor]:
    """Return what this process holds of gradients of DTensors, divided as these are; `aligned`."""
    known = set(map(type, values)) == set(map(type, params))
    if known and list(map(_placements, values)) == list(map(_placements, params)):
        return list(map(_part, values))
    return list(map(aligned, values, params))


def aligned_state(x: Any, param: Any) -> Tensor:
    """Return what this process holds of a state of a parameter's shape, over the real numbers.

    Args:
        x: the state, whole or divided in any way; of a complex parameter, pairs of real numbers.
        param: the parameter.
    """
    if param.is_complex() and not is_sharded(x):
        return torch.view_as_real(aligned(torch.view_as_complex(x.contiguous()), param))
    return aligned(x, param)


def replicated(x: Tensor, param: Any) -> Any:
    """Return a tensor that is whole on all processes that hold a parameter, as a DTensor."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh = param.device_mesh
    return DTensor.from_local(x, mesh, [Replicate()] * mesh.ndim, run_check=False)


def placed(x: Tensor, param: Any) -> Any:
    """Return a whole tensor of a parameter's shape, of which each process keeps its own part."""
    if any(map(_is_strided, param.placements)):
        return seen_as(_cut(x, param).clone(), param)
    return replicated(x, param).redistribute(placements=param.placements)


def _is_strided(placement: Any) -> bool:
    return hasattr(placement, "split_factor")


def _cut(x: Tensor, param: Any) -> Tensor:
    """Return the part of a whole tensor that this process has, where DTensors do not cut it.

    Tensor parallelism has cut an axis before `fully_shard` cuts the parts, whose axis of the mesh
    comes first nevertheless.
    """
    mesh, axes = param.device_mesh, range(param.device_mesh.ndim)
    for k in sorted(axes, key=lambda k: _is_strided(param.placements[k])):
        placement = param.placements[k]
        if not placement.is_replicate():
            parts = torch.chunk(x, mesh.size(k), placement.dim)
            at = mesh.get_local_rank(k)
            x = parts[at] if at < len(parts) else x.narrow(placement.dim, 0, 0)
    return x


def seen_as(part: Tensor, param: Any) -> Any:
    """Return as a DTensor, in the same memory, what this process holds of a parameter's shape."""
    from torch.distributed.tensor import DTensor

    more = part.shape[param.ndim :]  # pairs of real numbers, of a complex parameter
    size = torch.Size((*param.shape, *more))
    stride = torch.empty(size, device="meta").stride()
    return DTensor.from_local(
        part, param.device_mesh, param.placements, run_check=False, shape=size, stride=stride
    )


def is_settled(param: Any) -> bool:
    """Return whether each process holds entries of a parameter, not a term of a sum."""
    return not any(x.is_partial() for x in param.placements)


def place_in(mesh: Any) -> int:
    """Return the number of this process in a mesh, whose last axis runs fastest."""
    found = 0
    for k, at in enumerate(mesh.get_coordinate()):
        found = found * int(mesh.size(k)) + int(at)
    return found


def agreed(flags: Tensor, meshes: Sequence[Any]) -> Tensor:
    """Return where all processes of the meshes say true: one reduction for each axis of a mesh."""
    for mesh in meshes:
        votes = flags.to(mesh.device_type, torch.int32)
        flags = _reduced(votes, mesh, least=True).to(flags.device, torch.bool)
    return flags


def largest(number: Tensor, meshes: Sequence[Any]) -> Tensor:
    """Return the largest of what the processes of the meshes have, infinite if one has NaN."""
    for mesh in meshes:
        votes = torch.nan_to_num(number, nan=torch.inf, posinf=torch.inf).to(mesh.device_type)
        number = _reduced(votes, mesh, least=False).to(number.device)
    return number


def _reduced(votes: Tensor, mesh: Any, least: bool) -> Tensor:
    operation = torch.distributed.ReduceOp.MIN if least else torch.distributed.ReduceOp.MAX
    votes = votes.clone()
    for axis in range(mesh.ndim):
        torch.distributed.all_reduce(votes, operation, group=mesh.get_group(axis))
    return votes
