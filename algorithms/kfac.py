"""Kronecker-factored curvature: a Frobenius norm with one factor from each side of the layer."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


@nd.optimizer
def kfac(lr: nd.NonNegative = 1e-2, beta: nd.Fraction = 0.95, damping: nd.NonNegative = 1e-3):
    """K-FAC: the gradient preconditioned by the second moments of its layer, from both sides.

    W ← W − lr L⁻¹ G R⁻¹, sharp of ‖L^½ X R^½‖_F, with the averages A of E[x xᵀ] and S of E[g gᵀ],
    R = A + π √λ I, L = S + √λ/π I, π² = (tr A / n) / (tr S / m), λ = damping (Martens and Grosse,
    2015, arXiv:1503.05671; convolutions: arXiv:1602.01057). The weights of the averages are
    min(1 − 1/t, β), so that no bias is left of the start at zero.

    It reads the layer: `capture = nd.capture(model)`, `kfac(params, capture=capture)`. Biases are
    not appended to x, as the paper does: give them to another rule. The paper samples the targets
    of S from the model (the true Fisher); gradients of the training loss are the empirical one.
    It also chooses lr and a momentum from a quadratic model, and adapts λ; public codes clip the
    step's size in the Fisher norm instead. The code of arXiv:2510.10777 puts G Gᵀ, Gᵀ G and the
    exponent −¼ in place of S, A and −1, which is a Shampoo, and not affine invariant.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.kfac.moments
        ('input_moment', 'output_moment')
        >>> nd.algorithms.kfac.check("right_affine", damping=0, witnesses=False).answer
        'invariant if inputs has full rank'
    """
    rate = nd.minimum(1 - 1 / nd.t, beta)
    inputs, outputs = nd.ema(nd.input_moment, rate), nd.ema(nd.output_moment, rate)
    a, s = nd.trace(inputs) / nd.cols, nd.trace(outputs) / nd.rows
    L = outputs + nd.sqrt(damping * s * nd.reciprocal(a)) * nd.eye_like(outputs)
    R = inputs + nd.sqrt(damping * a * nd.reciprocal(s)) * nd.eye_like(inputs)
    norm = nd.preconditioned(
        nd.frobenius, left=nd.matrix_power(L, 1 / 2), right=nd.matrix_power(R, 1 / 2)
    )
    return W - lr * norm.sharp(G)
