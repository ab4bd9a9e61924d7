"""One rank of many, the others pretended: what it sends is counted, and nothing arrives."""

import math
from contextlib import contextmanager

import torch
from torch import distributed
from torch.distributed.distributed_c10d import _resolve_process_group
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.debug import _clear_sharding_prop_cache
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def fake_mesh(*sizes, rank=0):
    """Processes on a grid, of which this is one, without the others."""
    count = math.prod(sizes)
    _clear_sharding_prop_cache()  # where meshes of other ranks are taken for equal ones
    distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=count)
    try:
        yield distributed.device_mesh.init_device_mesh("cpu", sizes)
    finally:
        distributed.destroy_process_group()


class Counted(TorchDispatchMode):
    """Counts collectives and the bytes that this rank sends to others, by rings and in pairs."""

    def __init__(self):
        super().__init__()
        self.collectives, self.bytes = 0, 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(issubclass(t, DTensor) for t in types):
            return NotImplemented  # it is taken apart first
        own = func.namespace in ("c10d", "_c10d_functional", "_dtensor")
        if own and not any(word in func.name() for word in ("wait", "wrap")):
            self.collectives += 1
            self.bytes += self._sent(func.name(), args)
        return func(*args, **(kwargs or {}))

    def _sent(self, name, args):
        group = _group(args)
        count = group.size()
        if name.startswith("c10d::alltoall"):
            counts = args[4]
            return (sum(counts) - counts[group.rank()]) * args[1].element_size()
        tensors = args[0] if isinstance(args[0], list | tuple) else [args[0]]
        size = sum(x.numel() * x.element_size() for x in tensors)
        if "allreduce" in name or "all_reduce" in name:
            return 2 * size * (count - 1) / count
        if "all_gather" in name:
            return size * (count - 1)
        if "reduce_scatter" in name or "all_to_all" in name:
            return size * (count - 1) / count
        raise NotImplementedError(name)


def _group(args):
    """Return the group among the arguments of a collective: an object, or the last name."""
    objects = [x for x in args if isinstance(x, torch.ScriptObject)]
    if objects:
        return distributed.ProcessGroup.unbox(objects[0])
    return _resolve_process_group([x for x in args if isinstance(x, str)][-1])
