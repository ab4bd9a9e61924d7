"""MuAdam and MuAdam-SANIA: spectral LMOs in a norm weighted by the second moment."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def muadam(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """MuAdam (Veprikov et al., 2025, arXiv:2510.10777): the LMO of ‖v̂^¼ ∘ X‖₂.

    W ← (1 − lr λ) W − lr D⁻¹ ∘ polar(D⁻¹ ∘ m̂) with D² = √v̂ + ε. The published code never advances
    its step counter, so its bias corrections stay those of t = 1. Not the MuAdam of μP.
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return (1 - lr * weight_decay) * W + lr * norm.lmo(m)


@nd.optimizer
def muadam_sania(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.0,
):
    """MuAdam-SANIA (Veprikov et al., 2025, arXiv:2510.10777): the LMO of ‖v̂^½ ∘ X‖₂.

    W ← (1 − lr λ) W − lr D⁻¹ ∘ polar(D⁻¹ ∘ m̂) with D = √v̂ + ε, scale invariant for ε = 0. The
    published branch of this name cannot run as is; this is Algorithm 1 of the paper with p = ½.
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v) + eps)
    return (1 - lr * weight_decay) * W + lr * norm.lmo(m)
