"""Second-order methods by products with the Hessian: Hutchinson's diagonals, Newton's steps.

All are stepped by `opt.step(closure)`, where the closure calls `loss.backward(create_graph=True)`;
products are then double backward on the graph of that one evaluation.
"""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


@nd.optimizer
def adahessian(
    lr: nd.NonNegative = 0.15,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-4,
    power: nd.NonNegative = 1.0,
    weight_decay: nd.NonNegative = 0.0,
):
    """AdaHessian: Adam with an estimate of the Hessian's diagonal in the place of the gradient.

    D = z ∘ H z with random signs z,  v = ema(D², β₂),   W ← (1 − lr λ) W − lr m / (v^{p/2} + ε),
    the moments corrected for their start (Yao et al., 2020, arXiv:2006.00719). The code takes |D|,
    whose square is the same, and its mean over each kernel of a convolution, left out here.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.adahessian.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0 and power = 1'
    """
    z = nd.signs_like(W)
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema((z * nd.hessian_product(z)) ** 2, beta2, debias=True)
    return (1 - lr * weight_decay) * W - lr * m / (v ** (power / 2) + eps)


@nd.optimizer
def sophia(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.96,
    beta2: nd.Fraction = 0.99,
    gamma: nd.Positive = 0.01,
    eps: nd.Positive = 1e-12,
    weight_decay: nd.NonNegative = 0.0,
):
    """Sophia-H: momentum over the Hessian's diagonal, every entry cut off at 1.

    h = ema(z ∘ H z, β₂) with random signs z,   W ← (1 − lr λ) W − lr clip(m / max(γ h, ε), 1) (Liu
    et al., 2023, arXiv:2305.14342). There h gains a product at every tenth step, here at every one.
    `sophia_g` takes squares of gradients with sampled labels instead.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sophia.check("sign_flips", witnesses=False).answer
        'invariant in law'
    """
    z = nd.signs_like(W)
    m, h = nd.ema(G, beta1), nd.ema(z * nd.hessian_product(z), beta2)
    u = nd.clip_entries(m / nd.maximum(gamma * h, eps), 1)
    return (1 - lr * weight_decay) * W - lr * u


@nd.optimizer
def sophia_g(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.96,
    beta2: nd.Fraction = 0.99,
    gamma: nd.Positive = 0.05,
    eps: nd.Positive = 1e-12,
    weight_decay: nd.NonNegative = 0.0,
    examples: nd.Positive = 256.0,
    k: nd.Count = 10,
):
    """Sophia-G: momentum over squares of gradients with sampled labels, every entry cut off at 1.

    h ← β₂ h + (1 − β₂) b ĝ² at the steps 1, k + 1, 2 k + 1, …, with ĝ the gradient of the mean loss
    of b = examples whose labels are drawn from the model, W ← (1 − lr λ) W − lr clip(m / max(γ h,
    ε), 1) (Liu et al., 2023, arXiv:2305.14342, with the Gauss–Newton–Bartlett estimator). Such a
    loss is that of the closure `fresh`: `opt.step(closure, fresh=with_sampled_labels)`, which is
    called at every step, also where h stays.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.sophia_g.check("sign_flips", witnesses=False).answer
        'invariant'
    """
    g = nd.gradient(at=W, fresh=True)
    new = nd.mod(t - 1, k) < 1
    h = nd.fix(
        lambda h: nd.where(new, beta2 * h + (1 - beta2) * examples * g * g, h), nd.zeros_like(G)
    )
    u = nd.clip_entries(nd.ema(G, beta1) / nd.maximum(gamma * h, eps), 1)
    return (1 - lr * weight_decay) * W - lr * u


@nd.optimizer
def oasis(lr: nd.NonNegative = 0.1, beta: nd.Fraction = 0.999, floor: nd.Positive = 0.01):
    """OASIS with a fixed rate: the gradient over the size of the Hessian's diagonal.

    D = ema(z ∘ H z, β) with random signs z,   W ← W − lr G / max(|D|, α), α = floor (Jahani et al.,
    2021, arXiv:2109.05198). There the first D is an average of several products, here the average
    is corrected for its start; and the rate adapts to the change of the gradient.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.oasis.check("translation", witnesses=False).answer
        'invariant'
    """
    z = nd.signs_like(W)
    D = nd.ema(z * nd.hessian_product(z), beta, debias=True)
    return W - lr * G / nd.maximum(nd.abs(D), floor)


@nd.optimizer
def exact_newton(lr: nd.NonNegative = 1.0):
    """Newton's method, layer by layer, with the whole Hessian of each.

    W ← W − lr D,  vec(D) = H⁻¹ vec(G),  H = ∇²f(W) in the entries of the layer, mn×mn, by mn
    products with it; what it finds need not be a minimum. On φ(f) it is that on f with the rate
    lr κ, κ = 1/(1 + φ''/φ' ⟨G, D⟩), which may be above 1 or negative (arXiv:2509.25782): a theorem,
    as `exact_newton.on_loss(φ).equals(…)` shows.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.exact_newton.check("affine", witnesses=False).answer
        'invariant if H has full rank'
    """
    H = nd.hessian()
    return W - lr * nd.unvec(nd.inverse(H) @ nd.vec(G))


@nd.optimizer
def newton_cg(lr: nd.NonNegative = 1.0, damping: nd.NonNegative = 1e-3):
    """Newton's method, damped, the system solved by three conjugate gradients.

    W ← W − lr D with (H + λ I) D ≈ G, λ = damping (Dembo et al., 1982; Martens, 2010). Where H has
    eigenvalues below −λ, the system is not that of a minimum. Published codes iterate until the
    residual is small, and adapt λ.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.newton_cg.check("loss_scale", witnesses=False).answer
        'invariant if damping = 0'
    """
    D = nd.solve_linear(lambda V: nd.hessian_product(V) + damping * V, G, iterations=3)
    return W - lr * D


@nd.optimizer
def gauss_newton_cg(lr: nd.NonNegative = 1.0, damping: nd.NonNegative = 1e-3):
    """The Gauss-Newton method, damped, the system solved by three conjugate gradients.

    W ← W − lr D with (Jᵀ Q J + λ I) D ≈ G, λ = damping, J the Jacobian of the outputs and Q the
    Hessian of the loss by these (Schraudolph, 2002; Martens, 2010). EGN (Korbit et al., 2024,
    arXiv:2405.14402) solves it exactly, by a system of batch size times outputs; three of these
    are enough for that here. The closure marks the outputs: `z = nd.outputs(model(x))`.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.gauss_newton_cg.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    product = nd.gauss_newton_product
    D = nd.solve_linear(lambda V: product(V) + damping * V, G, iterations=3)
    return W - lr * D


@nd.optimizer
def aicn(smoothness: nd.Positive = 1.0):
    """AICN: Newton's method with a rate that falls with the length of the step.

    H D ≈ G,  N = √⟨G, D⟩,   W ← W − (√(1 + 2 L N) − 1)/(L N) D, L = smoothness, of all layers
    (Hanzely et al., 2022, arXiv:2211.00140). The system is solved by three conjugate gradients, so
    that it is invariant under rotations; solved exactly it would be so under all linear maps.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.aicn.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    D = nd.solve_linear(nd.hessian_product, G, iterations=3)
    N = smoothness * nd.sqrt(nd.maximum(nd.sum(nd.inner(G, D), over="layers"), 0))
    # The same without cancellation: (√(1 + 2 N) − 1) / N.
    return W - 2 / (1 + nd.sqrt(1 + 2 * N)) * D


@nd.optimizer
def gns_newton(start: nd.Positive = 1.0):
    """Newton's method, damped by ‖G‖/γ; γ doubles after a step that succeeds, and else is halved.

    λ = ‖G‖/γ, γ = 2^k start,  (H + λ I) D ≈ G,   W ← W − D if f(W) − f(W − D) ≥ ‖∇f(W − D)‖²/(8 λ),
    of all layers, otherwise W stays (Semenov et al., 2025, arXiv:2506.13710). There a step is tried
    again with half the γ until it succeeds, at most 40 times; here in the next step, with the next
    sample, and |k| ≤ 40.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.gns_newton.check("orthogonal", witnesses=False).answer
        'invariant'
    """

    def trial(k):
        damping = nd.sqrt(nd.sum(nd.inner(G, G), over="layers")) * 2**-k / start
        D = nd.solve_linear(lambda V: nd.hessian_product(V) + damping * V, G, iterations=3)
        slope = nd.gradient(at=W - D)
        gain = 8 * damping * (nd.loss - nd.loss_at(W - D))
        return D, gain >= nd.sum(nd.inner(slope, slope), over="layers")

    k = nd.fix(lambda k: nd.clamp(nd.where(trial(k)[1], k + 1, k - 1), -40, 40), 0)
    D, succeeds = trial(nd.prev(k))
    return W - nd.where(succeeds, D, 0)


@nd.optimizer
def saddle_free_newton(
    lr: nd.NonNegative = 0.1, beta: nd.Fraction = 0.5, damping: nd.Positive = 0.1
):
    """Saddle-free Newton: Newton's method with the sizes of the Hessian's eigenvalues.

    W ← W − lr (|B| + λ I)⁻¹ vec(G), |B| = (B²)^½, λ = damping, with the B of `nd.fitted_hessian`,
    mn×mn, which a product with H at each step brings nearer to H (Dauphin et al., 2014,
    arXiv:1406.2572). There |H| is of a Krylov subspace of all layers, and λ is searched for.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.saddle_free_newton.check("orthogonal", witnesses=False).answer
        'invariant in law'
    """
    B = nd.fitted_hessian(beta)
    size = nd.matrix_power(B @ B, 1 / 2) + damping * nd.eye_like(B)
    return W - lr * nd.unvec(nd.inverse(size) @ nd.vec(G))


@nd.optimizer
def cubic_newton(smoothness: nd.Positive = 10.0, beta: nd.Fraction = 0.5):
    """Cubic Newton: a step to the minimum of a quadratic model and a cube of its length.

    h = argmin ⟨g, h⟩ + ½ hᵀ B h + M/6 ‖h‖³ = −(B + σ I)⁻¹ g with σ = M/2 ‖h‖ > −λ_min(B), M =
    smoothness, and W ← W + h (Nesterov and Polyak, 2006), with the B of `saddle_free_newton`;
    arXiv:2510.08714 has SARAH's estimates. σ = max(0, −λ_min) + τ, and log τ is found by four steps
    of Newton's method from what λ_min alone would ask for. Left out is the hard case, of no
    gradient along the eigenvectors of λ_min < 0.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.cubic_newton.check("translation", witnesses=False).answer
        'invariant'
    """
    B, M, g = nd.fitted_hessian(beta), smoothness, nd.vec(G)
    low, pull = -nd.max(-nd.eigenvalues(B)), M * nd.sqrt(nd.sum(g * g))
    floor = nd.maximum(-low, 0)
    tau = pull * nd.reciprocal(nd.sqrt(low**2 + 2 * pull) + nd.abs(low))
    for _ in range(4):
        X, size = nd.inverse(B + (floor + tau) * nd.eye_like(B)), nd.reciprocal(floor + tau)
        h, length = X @ g, nd.sqrt(nd.sum((X @ g) ** 2))
        u = h * nd.reciprocal(length)
        tau *= (M / 2 * length * size) ** nd.reciprocal(tau * (nd.inner(u, X @ u) + size))
    return W - nd.unvec(nd.inverse(B + (floor + tau) * nd.eye_like(B)) @ g)


@nd.optimizer
def polynomial_preconditioning(lr: nd.NonNegative = 0.1):
    """Polynomial preconditioning of degree one: less of what the Hessian multiplies most.

    W ← W − lr (G − H G / tr H), tr H ≈ ⟨z, H z⟩ with random signs z, of all layers (Doikov and
    Rodomanov, 2023, arXiv:2301.13194, where it is tr(B) I − B of a matrix B that bounds H, and has
    higher degrees: in a basis of eigenvectors, the symmetric polynomials of the other eigenvalues).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.polynomial_preconditioning.check("permutations", witnesses=False).answer
        'invariant in law'
    """
    z = nd.signs_like(W)
    trace = nd.sum(nd.inner(z, nd.hessian_product(z)), over="layers")
    return W - lr * (G - nd.hessian_product(G) * nd.reciprocal(trace))
