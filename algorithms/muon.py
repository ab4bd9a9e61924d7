"""Muon: the LMO of the spectral norm."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def muon(
    lr: nd.NonNegative = 0.02, momentum: nd.Fraction = 0.95, weight_decay: nd.NonNegative = 0.0
):
    """Muon (Jordan et al., 2024): Nesterov momentum, then its polar factor.

    u is the Nesterov form of m ← μ m + (1 − μ) G;  W ← (1 − lr λ) W − lr √max(1, m/n) polar(u).
    torch.optim.Muon documents the sum instead of the average, which the LMO cannot tell apart, and
    computes the polar factor by five Newton–Schulz steps in bfloat16: `schedule=` here.
    """
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    scale = nd.sqrt(nd.maximum(1, nd.rows / nd.cols))
    return (1 - lr * weight_decay) * W + lr * scale * nd.spectral.lmo(u)
