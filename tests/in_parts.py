"""Parameters that several processes hold together, each a part, and what they are compared with."""

import torch
from torch import distributed
from torch.distributed.tensor import DTensor, distribute_tensor


def cut(sizes, placements):
    """Return what divides tensors among the processes of a mesh."""
    mesh = distributed.device_mesh.init_device_mesh("cpu", sizes)
    return lambda x: distribute_tensor(x.clone(), mesh, placements, src_data_rank=None)


def whole(x):
    """Return all of a tensor."""
    return x.full_tensor() if isinstance(x, DTensor) else x


def part(x):
    """Return what this process holds of a tensor."""
    return x.to_local() if isinstance(x, DTensor) else x


def wholes(params):
    return [whole(p).detach() for p in params]


def same(found, expected, tolerance=1e-12):
    """Assert that all ranks have the expected weights."""
    for each in found:
        for x, y in zip(each, expected, strict=True):
            torch.testing.assert_close(x, y.detach(), rtol=tolerance, atol=tolerance)


def mapped(told, function):
    """Return a state dict with a function of all its tensors."""
    state = {k: {key: function(x) for key, x in own.items()} for k, own in told["state"].items()}
    return {**told, "state": state}
