"""The AdaGrad family: a Frobenius norm weighted by sums or averages of squares, without momentum.

MADGRAD belongs here: AdaGrad by dual averaging, with a cube root.
"""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def adagrad(lr: nd.NonNegative = 1e-2, eps: nd.NonNegative = 1e-10):
    """AdaGrad: every entry's step is divided by the root of the sum of its squared gradients.

    v ← v + G²,   W ← W − lr G / (√v + ε): sharp of ‖v^¼ ∘ X‖_F (Duchi et al., 2011, JMLR 12). As in
    torch.optim.Adagrad without lr_decay. The paper has ε inside the root, TensorFlow starts v from
    0.1.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adagrad.check("loss_scale").answer
        'invariant if eps = 0'
    """
    v = nd.accumulate(G * G)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return W - lr * norm.sharp(G)


@nd.optimizer
def rmsprop(lr: nd.NonNegative = 1e-2, alpha: nd.Fraction = 0.99, eps: nd.NonNegative = 1e-8):
    """RMSprop: every entry's step is divided by the root of its average squared gradient.

    v ← α v + (1 − α) G²,   W ← W − lr G / (√v + ε): sharp of ‖v^¼ ∘ X‖_F (Tieleman and Hinton,
    2012). As in torch.optim.RMSprop without options (the centred one is Graves', 2013,
    arXiv:1308.0850). In TensorFlow's form (timm's RMSpropTF) the ε is inside the root and v starts
    from 1.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.rmsprop.check("loss_scale").answer
        'invariant if eps = 0'
    """
    v = nd.ema(G * G, alpha)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(nd.sqrt(v) + eps))
    return W - lr * norm.sharp(G)


@nd.optimizer
def madgrad(lr: nd.NonNegative = 1e-2, momentum: nd.Fraction = 0.9, eps: nd.NonNegative = 1e-6):
    """MADGRAD: AdaGrad by dual averaging from the first weights, with a cube root.

    λ = lr √t,  s ← s + λ G,  v ← v + λ G²,  W ← μ W + (1 − μ) (W₀ − s / (v^⅓ + ε)): from the anchor
    W₀, the sharp step of ‖v^⅙ ∘ X‖_F for all gradients so far (Defazio and Jelassi, 2021,
    arXiv:2101.11075). The published code adds ε to lr too.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.madgrad.check("permutations").answer
        'invariant'
    """
    rate = lr * nd.sqrt(t)
    total, v = nd.accumulate(rate * G), nd.accumulate(rate * (G * G))
    anchor = nd.fix(lambda start: start, W)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(v ** (1 / 3) + eps))
    return momentum * W + (1 - momentum) * (anchor - norm.sharp(total))


@nd.optimizer
def madgrad_ema(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
):
    """Adam with a cube root in place of the square root, called MADGRAD in arXiv:2510.10777.

    W ← W − lr m̂ / (v̂^⅓ + ε), as in Table 1 there (Veprikov et al., 2025). It is not MADGRAD: it has
    neither the anchor nor the growing weights of `madgrad`, and is of degree ⅓ in the gradient.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.madgrad_ema.check("transpose").answer
        'invariant'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    norm = nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(v ** (1 / 3) + eps))
    return W - lr * norm.sharp(m)
