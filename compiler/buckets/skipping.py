"""Skipping: which members of a bucket step where some may not, told by tensors, not on the host.

Native code writes where weights and states are, before it is known what all entries become. So it
is asked first for those members of which finite numbers may well become infinite ones, which are
few: the others are computed once.
"""

from __future__ import annotations

import torch

from normdsl.compiler.batches.members import Context
from normdsl.compiler.batches.nonfinite import finite
from normdsl.compiler.buckets.buckets import Bucket


def masked(bucket: Bucket, context: Context, bound: float, judged: bool) -> Context:
    """Return what members step with, and for each whether it may, and whether it is usual.

    Args:
        bucket: the members. context: what they step with.
        bound: above which a gradient may well make infinite numbers.
        judged: whether results are judged before they are written, whatever they are made from.
    """
    size = bucket.largest("G")
    given, usual = torch.isfinite(size), size <= bound
    for column in context.moments.values():
        given = given & torch.stack([finite(x) for x in column]).to(given.device)
    if context.loss is not None:
        loss = context.loss.reshape(()).abs()
        given = given & torch.isfinite(loss).to(given.device)
        usual = usual & (loss <= bound).to(given.device)
    if bucket.seen is not None:
        given, usual = given & torch.isfinite(bucket.seen), usual & (bucket.seen <= bound)
    return context._replace(given=given, usual=torch.zeros_like(usual) if judged else usual)
