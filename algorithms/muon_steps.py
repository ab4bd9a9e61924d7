"""Muon by other step lengths: relative to dual norms, to past gradients, to a model, to a ball."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def adago(
    lr: nd.NonNegative = 0.05,
    momentum: nd.Fraction = 0.95,
    limit: nd.Positive = 10.0,
    start: nd.Positive = 1e-6,
    least: nd.NonNegative = 5e-4,
):
    """AdaGO: Muon with the step length of AdaGrad-Norm, between two bounds.

    c = min(‖G‖_F, γ),  v² ← v² + c² from v₀²,   W ← W − max(ε, lr c / v) polar(m), with γ, v₀, ε =
    limit, start, least (Zhang et al., 2025, arXiv:2509.02981). pytorch_optimizer divides by v², and
    offers a factor of the shape.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adago.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    m = nd.ema(G, momentum)
    size = nd.minimum(nd.frobenius.value(G), limit)
    total = nd.accumulate(size**2, start**2)
    return W + nd.maximum(least, lr * size / nd.sqrt(total)) * nd.spectral.lmo(m)


@nd.optimizer
def namo(
    lr: nd.NonNegative = 0.01,
    beta1: nd.Fraction = 0.95,
    beta2: nd.Fraction = 0.99,
    eps: nd.NonNegative = 1e-8,
):
    """NAMO: Muon with the step length of an Adam that has one second moment for the matrix.

    v ← β₂ v + (1 − β₂) ‖G‖_F²,   W ← W − lr ‖m‖_F / (√v + ε) polar(m) (2026, arXiv:2602.17080, by a
    restatement that says nothing of corrections for the start: there are none here).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.namo.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    m = nd.ema(G, beta1)
    size = nd.sqrt(nd.ema(nd.inner(G, G), beta2))
    length = nd.frobenius.value(m) * nd.reciprocal(size + eps)
    return W + lr * length * nd.spectral.lmo(m)


@nd.optimizer
def gluon(
    smoothness: nd.NonNegative = 1.0,
    relative_smoothness: nd.NonNegative = 50.0,
    momentum: nd.Fraction = 0.9,
):
    """Gluon: Muon whose step length follows from how smooth the loss is said to be.

    W ← W − ‖G‖_* / (L₀ + L₁ ‖G‖_*) polar(m), by a model in which the gradient changes by at most L₀
    + L₁ ‖G‖_* a unit of length (Riabinin et al., 2025, arXiv:2505.13416). The paper estimates L₀ =
    smoothness and L₁ = relative_smoothness for each layer from runs, finds L₀ small, and proves its
    rates with other, vanishing lengths where gradients are noisy.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.gluon.check("loss_scale", witnesses=False).answer
        'invariant if smoothness = 0'
    """
    m, size = nd.ema(G, momentum), nd.spectral.dual(G)
    length = size * nd.reciprocal(smoothness + relative_smoothness * size)
    return W + length * nd.spectral.lmo(m)


@nd.optimizer
def polargrad(
    lr: nd.NonNegative = 1e-3,
    momentum: nd.Fraction = 0.95,
    alpha: nd.NonNegative = 1.0,
    weight_decay: nd.NonNegative = 0.0,
):
    """PolarGrad: Muon with steps as long as a power of the momentum's nuclear norm.

    W ← (1 − lr λ) W − lr ‖m‖_*^α polar(m): the sharp operator of the spectral norm for α = 1 (Lau
    et al., 2025, arXiv:2505.21799), its LMO, which is Muon, for α = 0 (arXiv:2605.18106). Codes
    take the nuclear norm of ⟨m, polar(m)⟩, with the polar factor that their iteration finds.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.polargrad.check("loss_scale", witnesses=False).answer
        'invariant if alpha = 0'
    """
    m = nd.ema(G, momentum)
    length = nd.spectral.dual(m) ** alpha
    return (1 - lr * weight_decay) * W + lr * length * nd.spectral.lmo(m)


@nd.optimizer
def muonmax(
    lr: nd.NonNegative = 0.01, momentum: nd.Fraction = 0.95, weight_decay: nd.NonNegative = 0.1
):
    """MuonMax for hidden layers: steps as long as the nuclear norms of all layers together.

    W ← (1 − lr λ) W − lr (Σ ‖m_k‖_*) polar(m), sharp of the norm max_k ‖X_k‖₂ of all layers k, with
    m from the first gradient (Crawshaw et al., 2025, arXiv:2510.09827). Other layers are stepped by
    Adam; their dual norm does not enter the sum, as the norms are joined by ℓ2. The paper's scale
    of the spectral norm is a factor of lr. Codes may take the nuclear norms of the step before.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.muonmax.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    m = nd.ema(G, momentum * nd.minimum(t - 1, 1))
    norm = nd.over_layers(nd.spectral, nd.lp(float("inf")))
    return (1 - lr * weight_decay) * W - lr * norm.sharp(m)


@nd.optimizer
def muonmax_momo(
    lr: nd.NonNegative = 0.01,
    momentum: nd.Fraction = 0.95,
    weight_decay: nd.NonNegative = 0.1,
    floor: nd.LossValue = 0.0,
):
    """MuonMax-Momo: MuonMax that steps no further than to where a model of the loss has its floor.

    W ← (1 − lr λ) W − min(lr, (f̄ − f* + ⟨W, m⟩)₊ / ‖m‖_*²) sharp(m), f̄ the average of f − ⟨W, G⟩
    at the rate of m, all of all layers, f* = floor (Crawshaw et al., 2025, arXiv:2510.09827;
    Schaipp et al., 2023, arXiv:2305.07583). The code does not keep the numerator ≥ 0, as Momo does,
    and scales twice with nuclear norms of the step before. Call `opt.step(loss=…)`.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.muonmax_momo.check("transpose", witnesses=False).answer
        'invariant'
    """
    rate = momentum * nd.minimum(t - 1, 1)
    m = nd.ema(G, rate)
    norm = nd.over_layers(nd.spectral, nd.lp(float("inf")))
    offset = nd.ema(nd.loss - nd.sum(nd.inner(W, G), over="layers"), rate)
    gap = nd.maximum(offset + nd.sum(nd.inner(W, m), over="layers") - floor, 0)
    cut = nd.minimum(lr, gap * nd.reciprocal(norm.dual(m)) ** 2)
    return (1 - lr * weight_decay) * W - cut * norm.sharp(m)


@nd.optimizer
def trust_region_muon(
    lr: nd.NonNegative = 0.02, momentum: nd.Fraction = 0.95, shrink: nd.Fraction = 2**-12
):
    """A trust region in the spectral norm, around weights that were shrunk: Muon with decay.

    W ← argmin ⟨m, X⟩ over ‖X − (1 − β) W‖₂ ≤ lr, which is (1 − β) W + lr lmo(m), β = shrink
    (Kovalev, 2025, arXiv:2503.12645): weight decay as the centre of the region. Scion's weights in
    a ball of radius lr/β, and decay that does not follow the learning rate. The paper has a
    regulariser in the minimum, and a momentum of gradients at extrapolated weights, which are not
    here.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.trust_region_muon.check("translation", witnesses=False).answer
        'invariant if shrink = 0'
    """
    m = nd.ema(G, momentum)
    return nd.decay.independent(shrink) + lr * nd.spectral.lmo(m)
