"""Relatives of Muon: what is done to a momentum before its LMO, or to the polar factor after."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W


def towards_polar(X):
    """Return Muon's polynomial of X, whose singular values go towards 1 from [0, 1]."""
    gram = X @ X.T
    return 3.4445 * X - 4.775 * gram @ X + 2.0315 * gram @ (gram @ X)


@nd.optimizer
def adamuon(
    lr: nd.NonNegative = 0.02,
    momentum: nd.Fraction = 0.95,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.01,
):
    """AdaMuon: the polar factor of a sign matrix, divided entry by entry as in Adam.

    P = polar(sign u) with u the Nesterov form of m,  v ← μ v + (1 − μ) P²,  Z = P / (√v + ε), W ←
    (1 − lr λ) W − lr 0.2 √(m n) Z / ‖Z‖_F (Si et al., 2025, arXiv:2507.11005, and their code).
    Divided after the LMO alone, Z is the LMO of no weighted norm. pytorch_optimizer takes neither
    sign nor Nesterov's form, corrects v, and multiplies by a factor of the shape.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adamuon.check("transpose", witnesses=False).answer
        'invariant'
    """
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    P = nd.polar(nd.sign(u))
    Z = P * nd.reciprocal(nd.sqrt(nd.ema(P * P, momentum)) + eps)
    length = 0.2 * nd.sqrt(nd.rows * nd.cols)
    return (1 - lr * weight_decay) * W + lr * length * nd.frobenius.lmo(Z)


@nd.optimizer
def normuon(
    lr: nd.NonNegative = 0.02,
    momentum: nd.Fraction = 0.95,
    beta2: nd.Fraction = 0.95,
    eps: nd.NonNegative = 1e-10,
    weight_decay: nd.NonNegative = 0.0,
):
    """NorMuon: Muon with its rows, one per neuron, brought to the same length on average.

    P = polar(u) with u the Nesterov form of m,  v_i ← β₂ v_i + (1 − β₂) mean_j P_ij², Z_ij = P_ij /
    (√v_i + ε),   W ← (1 − lr λ) W − lr √max(1, m/n) ‖P‖_F Z / ‖Z‖_F (Li et al., 2025,
    arXiv:2510.05491, and their code). The paper has 0.2 √(m n) for the lengths; Emerging-Optimizers
    takes rows or columns, by the shape. With an exact polar factor of full rank it is Muon for m ≤
    n, as all rows have length 1: there it acts on the error of the iteration alone.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.normuon.check("right_orthogonal", witnesses=False).answer
        'invariant'
    """
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    P = nd.polar(u)
    v = nd.ema(nd.sum(P * P, over="cols") / nd.cols, beta2)
    Z = P * nd.reciprocal(nd.sqrt(v) + eps)
    length = nd.scale.shape * nd.frobenius.value(P)
    return (1 - lr * weight_decay) * W + lr * length * nd.frobenius.lmo(Z)


@nd.optimizer
def turbo_muon(
    lr: nd.NonNegative = 0.02, momentum: nd.Fraction = 0.95, weight_decay: nd.NonNegative = 0.0
):
    """Turbo-Muon: Muon of a momentum whose almost orthogonal rows were rescaled first.

    W ← (1 − lr λ) W − lr √max(1, m/n) polar(diag(s)^{-½} u), s_i = Σ_j |u uᵀ|_ij, with u the
    Nesterov form of m; of tall matrices, columns by uᵀ u (Boissin et al., 2025, arXiv:2512.04632).
    Meant to need one iteration less, the scaling changes the limit, too: it is a preconditioner on
    one side of the LMO, and Muon's step where rows are orthogonal. `nd.Turbo` is it as a schedule
    of Muon.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.turbo_muon.check("signed_permutations", witnesses=False).answer
        'invariant'
    """
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    wide = nd.minimum(nd.maximum(nd.cols - nd.rows + 1, 0), 1)  # 1 for m ≤ n, else 0
    s = nd.sum(nd.abs(u @ u.T), over="cols") ** (wide / 2)
    c = nd.sum(nd.abs(u.T @ u), over="rows") ** ((1 - wide) / 2)
    P = nd.polar(nd.reciprocal(s) * u * nd.reciprocal(c))
    return (1 - lr * weight_decay) * W - lr * nd.scale.shape * P


@nd.optimizer
def auon(lr: nd.NonNegative = 0.24, momentum: nd.Fraction = 0.95, gain: nd.Positive = 1.0):
    """AuON: a momentum brought to length 1, and divided by a mean of hyperbolic cosines.

    u = z/‖z‖_F with z the Nesterov form of m,   W ← W − lr √max(1, m/n) u / √mean cosh²(γ u)
    (Maity, 2025, arXiv:2509.24320). As the entries of u are small, the mean is 1 + O(1/(m n)):
    normalized SGD but for that. The code has γ = 1.5 and divides z itself, so that it is SGD but
    for that, of degree 1 where the paper's form has degree 0.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.auon.check("loss_scale", witnesses=False).answer
        'invariant'
    """
    u = -nd.frobenius.lmo(nd.momentum(G, momentum, readout=momentum * momentum))
    size = gain * nd.abs(u)
    cosh = (nd.exp(size) + nd.exp(-size)) / 2
    brake = nd.sqrt(nd.sum(cosh**2) / (nd.rows * nd.cols))
    return W - lr * nd.scale.shape * u / brake


@nd.optimizer
def hybrid_auon(lr: nd.NonNegative = 0.24, momentum: nd.Fraction = 0.95, gain: nd.Positive = 1.0):
    """Hybrid-AuON: one step towards the polar factor, then AuON's brake.

    Z = z/‖z‖_F with z the Nesterov form of m,  Y = (a I + b Z Zᵀ + c (Z Zᵀ)²) Z,  u = Y/‖Y‖_F, W ←
    W − lr √max(1, m/n) u / √mean cosh²(γ u), with Muon's a, b, c = 3.4445, −4.775, 2.0315 (Maity,
    2025, arXiv:2509.24320: one step in the abstract, five in the code, which keeps the length of
    Y). The step is declared here, and no kernel of a polar factor, so that it is what is checked.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.hybrid_auon.check("loss_scale", witnesses=False).answer
        'invariant'
    """
    Z = -nd.frobenius.lmo(nd.momentum(G, momentum, readout=momentum * momentum))
    u = -nd.frobenius.lmo(towards_polar(Z))
    size = gain * nd.abs(u)
    cosh = (nd.exp(size) + nd.exp(-size)) / 2
    brake = nd.sqrt(nd.sum(cosh**2) / (nd.rows * nd.cols))
    return W - lr * nd.scale.shape * u / brake


@nd.optimizer
def inexact_muon(lr: nd.NonNegative = 0.02, momentum: nd.Fraction = 0.95, error: nd.Fraction = 0.3):
    """Muon with an inexact polar factor, and a step that is shorter for its error.

    Z = z/‖z‖_F with z the Nesterov form of m, three times Z ← (a I + b Z Zᵀ + c (Z Zᵀ)²) Z,
    W ← W − lr (1 − δ)/(1 + δ)² Z, δ = error, a, b, c of Muon's iteration. Where Z is δ away from
    the polar factor, f falls by at least η (1 − δ) ‖z‖_* − η² (1 + δ)² L/2 for a step η, which this
    factor makes largest: less exact, shorter steps, and by Shulgin et al., 2025 (arXiv:2510.19933,
    whose bounds are not these) more momentum. Five steps have δ ≈ 0.3 where singular values are not
    too small.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.inexact_muon.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    Z = -nd.frobenius.lmo(nd.momentum(G, momentum, readout=momentum * momentum))
    for _ in range(3):
        Z = towards_polar(Z)
    return W - lr * (1 - error) / (1 + error) ** 2 * Z


@nd.optimizer
def root_muon(
    lr: nd.NonNegative = 1e-3,
    momentum: nd.Fraction = 0.95,
    share: nd.Fraction = 0.9,
    weight_decay: nd.NonNegative = 0.1,
):
    """ROOT: Muon of a momentum whose largest entries are cut off at a quantile of all of them.

    B = z, its entries cut off at ± the q-quantile of |z|, z the Nesterov form of m, q = share,
    W ← (1 − lr λ) W − lr 0.2 √max(m, n) polar(B) (He et al., 2025, arXiv:2511.20626). The code adds
    1e-9 to the quantile, and has Newton–Schulz coefficients of its own for four shapes; its
    description cuts m, not z.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.root_muon.check("signed_permutations", witnesses=False).answer
        'invariant'
    """
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    B = nd.clip_entries(u, nd.quantile(nd.abs(u), share))
    length = 0.2 * nd.sqrt(nd.maximum(nd.rows, nd.cols))
    return (1 - lr * weight_decay) * W + lr * length * nd.spectral.lmo(B)
