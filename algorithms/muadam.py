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
    """MuAdam: Muon's polar factor, with Adam's entrywise preconditioner on both sides of it.

    W ← (1 − lr λ) W − lr D⁻¹ ∘ polar(D⁻¹ ∘ m̂) with D² = √v̂ + ε: the LMO of ‖v̂^¼ ∘ X‖₂ (Veprikov et
    al., 2025, arXiv:2510.10777). The published code never advances its step counter, so its bias
    corrections stay those of t = 1. Not the MuAdam of μP.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.muadam.check("scale").answer
        'not invariant'
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
    """MuAdam-SANIA: MuAdam without the square root, which makes it scale invariant at ε = 0.

    W ← (1 − lr λ) W − lr D⁻¹ ∘ polar(D⁻¹ ∘ m̂) with D = √v̂ + ε: the LMO of ‖v̂^½ ∘ X‖₂, scale
    invariant for ε = 0 (Veprikov et al., 2025, arXiv:2510.10777). The published branch of this name
    cannot run as is; this is Algorithm 1 of the paper with p = ½. On networks with entries that
    have no gradient it diverges at its defaults, as these are divided by ε: see
    `bounded_muadam_sania`.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.muadam_sania.check("scale", eps=0, witnesses=False).answer
        'invariant'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v) + eps)
    return (1 - lr * weight_decay) * W + lr * norm.lmo(m)


@nd.optimizer
def bounded_muadam_sania(
    lr: nd.NonNegative = 3e-4,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    bound: nd.Positive = 0.1,
    weight_decay: nd.NonNegative = 0.0,
):
    """Bounded MuAdam-SANIA: no entry moves by more than a share of what it was at first.

    W ← (1 − lr λ) W + clip(lr · lmo(m̂), ± bound |W₁|), the LMO that of ‖v̂^½ ∘ X‖₂: scale invariant
    as `muadam_sania` (Veprikov et al., 2025, arXiv:2510.10777), without an ε, since an entry that
    never had a gradient stays where it is. Where √v̂ is small its inverse is large, and a hundredth
    of the entries would have nearly all of the step's length; |W₁|, the weights at first, bounds
    them and is rescaled as they are. Entries that start from zero stay zero: give such parameters
    to another rule. New here.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.bounded_muadam_sania.check("scale").answer
        'invariant'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v))
    move, first = lr * norm.lmo(m), nd.start(W)
    return (1 - lr * weight_decay) * W + nd.clip_entries(move, bound * nd.abs(first))


@nd.optimizer
def rmsspectral(lr: nd.NonNegative = 1e-3, alpha: nd.Fraction = 0.95, eps: nd.NonNegative = 1e-8):
    """RMSspectral: RMSprop in the spectral norm, the ancestor of MuAdam.

    W ← W − lr D⁻¹ ∘ (‖Y‖_* polar(Y)) with Y = D⁻¹ ∘ G and D² = √v + ε: sharp of ‖v^¼ ∘ X‖₂ (Carlson
    et al., 2015, NeurIPS 28). Without momentum, and sharp where MuAdam takes the LMO, hence of
    degree 0. The published code sketches large matrices.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.rmsspectral.check("loss_scale").answer
        'invariant if eps = 0'
    """
    v = nd.ema(G * G, alpha)
    norm = nd.preconditioned(nd.spectral, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return W - lr * norm.sharp(G)


@nd.optimizer
def polyak_muadam_sania(
    lr: nd.NonNegative = 1.0,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    floor: nd.LossValue = 0.0,
):
    """MuAdam-SANIA with a Polyak step in its own norm: scale and loss-scale invariant at once.

    W ← W − lr (f̂ − f*)₊ / ‖m̂‖_*² · sharp(m̂) in ‖v̂^½ ∘ X‖₂, with f* = floor and f̂ the average of
    the linear models f_s + ⟨G_s, W − W_s⟩ at W (MoMo: Schaipp et al., 2023, arXiv:2305.07583): by
    the loss itself, steps along the average m̂ diverge. The dual norm is that of all layers, by ℓ2.
    Suggested by the theory of Veprikov et al., 2025 (arXiv:2510.10777), published by nobody. Having
    no ε, it moves entries whose gradients nearly vanish the most, and diverges on noisy losses: see
    `bounded_polyak_muadam_sania`. Call `opt.step(loss=…)`.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.polyak_muadam_sania.check("scale").answer
        'invariant'
        >>> nd.algorithms.polyak_muadam_sania.check("loss_scale", floor=0).answer
        'invariant'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.over_layers(nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v)), nd.lp(2))
    offset = nd.ema(nd.loss - nd.sum(nd.inner(W, G), over="layers"), beta1, debias=True)
    gap = nd.maximum(offset + nd.sum(nd.inner(W, m), over="layers") - floor, 0)
    return W - lr * gap * nd.reciprocal(norm.dual(m)) ** 2 * norm.sharp(m)


@nd.optimizer
def bounded_polyak_muadam_sania(
    lr: nd.NonNegative = 1.0,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    bound: nd.Positive = 0.1,
    floor: nd.LossValue = 0.0,
):
    """Polyak–MuAdam-SANIA, bounded: no entry moves by more than a share of what it was at first.

    W ← W + clip(Δ, ± bound |W₁|), with Δ the step of `polyak_muadam_sania`, in the norm of Veprikov
    et al., 2025 (arXiv:2510.10777). The bound is in the units of W, and Polyak's length has none of
    the loss: still scale and loss-scale invariant at once, it trains where that step diverges.
    Entries that start from zero stay zero: give such parameters to another rule. New here. Call
    `opt.step(loss=…)`.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.bounded_polyak_muadam_sania.check("scale").answer
        'invariant'
        >>> nd.algorithms.bounded_polyak_muadam_sania.check("loss_scale", floor=0).answer
        'invariant'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.over_layers(nd.preconditioned(nd.spectral, hadamard=nd.sqrt(v)), nd.lp(2))
    offset = nd.ema(nd.loss - nd.sum(nd.inner(W, G), over="layers"), beta1, debias=True)
    gap = nd.maximum(offset + nd.sum(nd.inner(W, m), over="layers") - floor, 0)
    move = lr * gap * nd.reciprocal(norm.dual(m)) ** 2 * norm.sharp(m)
    return W - nd.clip_entries(move, bound * nd.abs(nd.start(W)))
