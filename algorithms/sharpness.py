"""Gradients at another point of the same step: sharpness, and steps that look ahead or try."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t

#: The norm of all layers together, √Σ ‖X_l‖²_F.
JOINT = nd.over_layers(nd.frobenius, nd.lp(2))


@nd.optimizer
def sam(lr: nd.NonNegative = 0.1, rho: nd.NonNegative = 0.05):
    """SAM: descent by the gradient where the loss is worst, within a ball around the weights.

    W ← W − lr ∇f(W + ρ G / ‖G‖), the norm being that of all layers (Foret et al., 2021,
    arXiv:2010.01412). Two evaluations a step. Public codes add 1e-12 to the norm.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sam.asks, nd.algorithms.sam.check("translation").answer
        (True, 'invariant')
    """
    worst = W - rho * JOINT.lmo(G)
    return W - lr * nd.gradient(at=worst)


@nd.optimizer
def gradient_regularization(
    lr: nd.NonNegative = 0.1, gamma: nd.NonNegative = 0.1, far: nd.Positive = 0.01
):
    """Gradient regularisation: descent of f + (γ/2) ‖∇f‖², its Hessian by a finite difference.

    W ← W − lr (G + (γ/ε) (∇f(W + ε G) − G)), with ε called far (Karakida et al., 2023,
    arXiv:2210.02720, forward differences). Two evaluations a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.gradient_regularization.check("orthogonal").answer
        'invariant'
    """
    change = nd.gradient(at=W + far * G) - G
    return W - lr * (G + gamma / far * change)


@nd.optimizer
def extragradient(lr: nd.NonNegative = 1e-3):
    """Extragradient: a step from the weights, by the gradient at the end of a plain step.

    W ← W − lr ∇f(W − lr G) (Korpelevich, 1976; of networks Gidel et al., 2018,
    arXiv:1802.10551). Two evaluations a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.extragradient.check("sign_flips").answer
        'invariant'
    """
    return W - lr * nd.gradient(at=W - lr * G)


@nd.optimizer
def twin_polyak(kappa: nd.NonNegative = 1.0, apart: nd.Positive = 0.1):
    """Twin Polyak: of two iterates the higher one steps, as far as the lower one says.

    If f(x) > f(y): x ← x − κ (f(x) − f(y)) ∇f(x) / ‖∇f(x)‖², otherwise y likewise: Polyak steps
    without the least value of the loss (arXiv:2508.17288). x are the weights; y starts at W − σ G,
    with σ called apart (the paper leaves open where). Norms are those of all layers. Two
    evaluations a step; the experiments of the paper have κ = 2.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.twin_polyak.check("translation").answer
        'invariant'
    """
    later = nd.sign(t - 1)  # 0 at the first step, then 1

    def step(x, gap, slope):
        return x - kappa * nd.maximum(gap, 0) * nd.reciprocal(JOINT.dual(slope)) ** 2 * slope

    def begun(y):
        return later * y + (1 - later) * (W - apart * G)

    def next_(y):
        return step(y, nd.loss_at(y) - nd.loss, nd.gradient(at=y))

    y = nd.fix(lambda y: next_(begun(y)), W)
    return step(W, nd.loss - nd.loss_at(begun(nd.prev(y, init=W))), G)


def model_building(lr, shrink, c, fresh):
    """Return the next weights of SMB, where the model's second gradient is on a sample."""
    s, size = -lr * G, nd.frobenius.value
    y = nd.gradient(at=W + s, fresh=fresh) - G
    beta = size(s) * (size(y) + size(G) / shrink)
    below = nd.reciprocal(beta**2 - (size(s) * size(y)) ** 2)
    toward = nd.inner(y, y) * nd.inner(s, G) - beta * nd.inner(y, G)
    beside = nd.inner(s, s) * nd.inner(y, G) - beta * nd.inner(s, G)
    model = -nd.inner(s, s) * nd.reciprocal(beta - nd.inner(y, s))
    gain = c * lr * nd.sum(nd.inner(G, G), over="layers")
    tried = nd.loss_at(W + s) <= nd.loss - gain
    return W + nd.where(tried, s, model * (G + below * (toward * s + beside * y)))


@nd.optimizer
def smb(lr: nd.Positive = 1.0, shrink: nd.Fraction = 0.99, c: nd.NonNegative = 0.1):
    """SMB: a step is tried; if the loss falls too little, each layer takes that of a model instead.

    s = −lr G; if f(W + s) ≤ f(W) − c lr ‖G‖², W ← W + s. Otherwise with y = ∇f(W + s) − G and, for
    each layer, β = ‖s‖ (‖y‖ + ‖G‖/η), η = shrink, ϑ = β² − ‖s‖² ‖y‖², a = −‖s‖²/(β − ⟨y, s⟩),
    W ← W + a G + a/ϑ ((‖y‖² ⟨s, G⟩ − β ⟨y, G⟩) s + (‖s‖² ⟨y, G⟩ − β ⟨s, G⟩) y) (Birbil et al.,
    2021, arXiv:2111.07058). The code can change lr once per epoch, by how often steps fail. Two
    evaluations a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.smb.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    return model_building(lr, shrink, c, fresh=False)


@nd.optimizer
def smbi(lr: nd.Positive = 1.0, shrink: nd.Fraction = 0.99, c: nd.NonNegative = 0.1):
    """SMBi: SMB, whose model takes the gradient at the trial point on a sample of its own.

    As `smb`, with y = ∇f′(W + s) − G of a second sample f′, so that the step of the model depends
    less on the sample that failed (Birbil et al., 2021, arXiv:2111.07058): `opt.step(closure,
    fresh=other)`. Three evaluations a step.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.smbi.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    return model_building(lr, shrink, c, fresh=True)
