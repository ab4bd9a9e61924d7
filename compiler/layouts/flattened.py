"""Parameters that a wrapper has flattened: a part of a long vector, whose matrix is not seen."""

from __future__ import annotations

from torch import Tensor


def flattened_by(param: Tensor) -> str:
    """Return which wrapper has made a vector of a parameter, or is about to; empty for none.

    FSDP1 marks its vectors, and the parameters that are seen as parts of them with
    `use_orig_params=True`: such a part has one axis, whatever the shape of the weight. Without
    sharding, weights keep their shape. ZeRO-3 of DeepSpeed gives numbers to parameters it flattens.
    """
    if getattr(param, "_fsdp_flattened", False) and param.ndim < 2:
        return "FullyShardedDataParallel (FSDP1)"
    return "ZeRO-3 of DeepSpeed" if hasattr(param, "ds_id") else ""


def lost(param: Tensor) -> tuple[str, str]:
    """Return what a flattened parameter lacks and what to do about it: why and hint of errors."""
    wrapper = flattened_by(param)
    return (
        f"{wrapper} keeps it as a part of a vector, in which the rows, columns and layers of "
        "weights cannot be seen: norms and factorisations would be those of the part",
        "use fully_shard(model) of torch.distributed.fsdp, which keeps shapes, and make the "
        "optimizer afterwards; or an entry-wise rule, which needs no shapes",
    )
