"""Shipped rules, changed in the one point in which a public code departs from them."""

import normdsl as nd
from normdsl import G, W, t

NonNegative, Fraction = nd.NonNegative, nd.Fraction
#: 1 at the first step and 0 afterwards, and the other way round; the steps without the first.
FIRST, LATER = nd.maximum(0, 2 - t), nd.minimum(1, t - 1)
COUNT = nd.maximum(1, t - 1)


def first(x):
    """The value of a stream at the first step."""
    return nd.accumulate(FIRST * x)


def over(x, d):
    """x / d entry by entry."""
    return nd.reciprocal(d) * x


@nd.optimizer
def adam_with_floor(lr: NonNegative, beta1: Fraction, beta2: Fraction, eps: NonNegative):
    d = nd.maximum(nd.sqrt(nd.ema(G * G, beta2, debias=True)), eps)
    return W - lr * over(nd.ema(G, beta1, debias=True), d)


@nd.optimizer
def rmsprop_corrected_with_floor(lr: NonNegative, alpha: Fraction, eps: NonNegative):
    return W - lr * over(G, nd.maximum(nd.sqrt(nd.ema(G * G, alpha, debias=True)), eps))


@nd.optimizer
def muon_with_whole_gradient(lr: NonNegative, momentum: Fraction, weight_decay: NonNegative):
    u = G + nd.ema(G, momentum)
    scale = nd.sqrt(nd.maximum(1, nd.rows / nd.cols))
    return (1 - lr * weight_decay) * W + lr * scale * nd.spectral.lmo(u)


@nd.optimizer
def muon_matching_adam(lr: NonNegative, momentum: Fraction, weight_decay: NonNegative):
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    scale = 0.2 * nd.sqrt(nd.maximum(nd.rows, nd.cols))
    return (1 - lr * weight_decay) * W + lr * scale * nd.spectral.lmo(u)


@nd.optimizer
def signum_with_coupled_decay(lr: NonNegative, beta: Fraction, weight_decay: NonNegative):
    return W + lr * nd.max_entry.lmo(nd.ema(G + weight_decay * W, beta))


@nd.optimizer
def sgd_momentum_with_decoupled_decay(
    lr: NonNegative, momentum: Fraction, weight_decay: NonNegative
):
    return (1 - lr * weight_decay) * W - lr * nd.momentum(G, momentum, normalized=False)


@nd.optimizer
def madgrad_with_eps_in_the_step(lr: NonNegative, momentum: Fraction, eps: NonNegative):
    weight = (lr + eps) * nd.sqrt(t)
    s, squares = nd.accumulate(weight * G), nd.accumulate(weight * (G * G))
    z = nd.fix(lambda start: start, W) - over(s, squares ** (1 / 3) + eps)
    return momentum * W + (1 - momentum) * z


@nd.optimizer
def scion_by_own_start(lr: NonNegative, momentum: Fraction, radius: NonNegative):
    scale = radius * nd.sqrt(nd.rows / nd.cols)
    return W + lr * scale * nd.spectral.lmo(nd.ema(G, momentum))


@nd.optimizer
def shampoo_averaged_and_grafted(lr: NonNegative, eps: NonNegative):
    left, right = G @ G.T, G.T @ G
    a = nd.fix(lambda s: 0.95 * s + 0.05 * left, eps * nd.eye_like(left))
    b = nd.fix(lambda s: 0.95 * s + 0.05 * right, eps * nd.eye_like(right))
    step = nd.matrix_power(a, -1 / 4) @ G @ nd.matrix_power(b, -1 / 4)
    return W + lr * nd.frobenius.dual(G) * nd.frobenius.lmo(step)


@nd.optimizer
def soap_in_the_first_basis(
    lr: NonNegative, beta1: Fraction, beta2: Fraction, eps: NonNegative, weight_decay: NonNegative
):
    g, n = LATER * G, COUNT
    ql, qr = nd.eigenbasis(first(G @ G.T)), nd.eigenbasis(first(G.T @ G))
    v = nd.ema((ql.T @ g @ qr) ** 2, beta2)
    step = ql @ over(ql.T @ nd.ema(g, beta1) @ qr, nd.sqrt(v) + eps) @ qr.T
    corrected = nd.sqrt(1 - beta2**n) / (1 - beta1**n)
    return (1 - lr * weight_decay * LATER) * (W - lr * corrected * step)


@nd.optimizer
def soap_in_the_first_basis_with_floor(
    lr: NonNegative, beta1: Fraction, beta2: Fraction, eps: NonNegative, weight_decay: NonNegative
):
    g, n = LATER * G, COUNT
    ql, qr = nd.eigenbasis(first(G @ G.T)), nd.eigenbasis(first(G.T @ G))
    m = nd.ema(g, beta1) / (1 - beta1**n)
    v = nd.ema((ql.T @ g @ qr) ** 2, beta2) / (1 - beta2**n)
    step = ql @ over(ql.T @ m @ qr, nd.maximum(nd.sqrt(v), eps)) @ qr.T
    return (1 - lr * weight_decay * LATER) * W - lr * step


@nd.optimizer
def splus_in_the_basis_before(
    lr: NonNegative,
    beta1: Fraction,
    beta2: Fraction,
    weight_decay: NonNegative,
    average: Fraction,
):
    left, right = nd.ema(G @ G.T, beta2), nd.ema(G.T @ G, beta2)
    ql = nd.eigenbasis(nd.prev(left, init=nd.eye_like(left)))
    qr = nd.eigenbasis(nd.prev(right, init=nd.eye_like(right)))
    step = ql @ nd.sign(ql.T @ nd.ema(G, beta1) @ qr) @ qr.T
    c = lr * 2 / (nd.rows + nd.cols)
    mean = nd.ema(W - c * step, average, debias=True)
    return nd.step((1 - c * weight_decay) * (W - c * step), evaluate=mean)


@nd.optimizer
def kl_shampoo_from_its_start(
    lr: NonNegative, beta1: Fraction, start: nd.Positive, weight_decay: NonNegative
):
    m = nd.ema(LATER * G, beta1)
    return (1 - lr * weight_decay * LATER) * W - lr * m / start


@nd.optimizer
def adafactor_with_floors(
    lr: NonNegative,
    power: nd.Positive,
    limit: nd.Positive,
    eps1: NonNegative,
    eps2: NonNegative,
    weight_decay: NonNegative,
):
    r, c = (nd.ema(nd.sum(G * G, over=x), 1 - t**-power) for x in ("cols", "rows"))
    r, c, root = r / nd.cols, c / nd.rows, nd.sqrt(nd.rows * nd.cols)
    v = nd.maximum(r * c / nd.maximum(nd.sum(r) / nd.rows, nd.sqrt(eps1)), eps1)
    u = nd.clip(over(G, nd.sqrt(v)), limit * root)
    rate = nd.maximum(eps2, nd.frobenius.value(W) / root) * nd.minimum(lr, 1 / nd.sqrt(t))
    return (1 - lr * weight_decay) * W - rate * u


@nd.optimizer
def lamb_decayed_apart(
    lr: NonNegative, beta1: Fraction, beta2: Fraction, eps: NonNegative, weight_decay: NonNegative
):
    w = (1 - lr * weight_decay) * W
    u = nd.ema(G, beta1) / (nd.sqrt(nd.ema(G * G, beta2)) + eps)
    ratio = nd.minimum(nd.frobenius.value(w), 10) / (nd.frobenius.value(u) + eps)
    return w - lr / (1 - beta1**t) * ratio * u


@nd.optimizer
def adago_by_squares(
    lr: NonNegative, momentum: Fraction, limit: nd.Positive, start: nd.Positive, least: NonNegative
):
    size = nd.minimum(nd.frobenius.value(G), limit)
    rate = nd.maximum(least, lr * nd.scale.shape * size / nd.accumulate(size**2, start))
    return W + rate * nd.spectral.lmo(nd.ema(G, momentum))


@nd.optimizer
def adamuon_of_the_momentum(
    lr: NonNegative, momentum: Fraction, eps: NonNegative, weight_decay: NonNegative
):
    P = -nd.spectral.lmo(nd.ema(G, momentum))
    Z = P / (nd.sqrt(nd.ema(P * P, 0.95, debias=True)) + eps)
    length = 0.2 * nd.sqrt(nd.rows * nd.cols) / (nd.frobenius.value(Z) + eps)
    return (1 - lr * weight_decay) * W - lr * length * Z


@nd.optimizer
def cautious_muon_by_its_momentum(lr: NonNegative, momentum: Fraction, weight_decay: NonNegative):
    z = nd.momentum(G, momentum, readout=momentum * momentum)
    u = nd.polar(z)
    agree = nd.maximum(nd.sign(u * z), 0)
    rate = lr * nd.scale.shape * nd.rows * nd.cols / (nd.sum(agree) + 1)
    return (1 - lr * weight_decay) * W - rate * agree * u


@nd.optimizer
def galore_with_eps_first_and_decay_last(
    lr: NonNegative,
    beta1: Fraction,
    beta2: Fraction,
    eps: NonNegative,
    weight_decay: NonNegative,
    scale: NonNegative,
    rank: nd.Rank,
):
    P = nd.top_singular(G, rank)
    R = P.T @ G
    m, v = nd.ema(R, beta1, debias=True), nd.ema(R * R, beta2)
    step = nd.sqrt(1 - beta2**t) * m / (nd.sqrt(v) + eps)
    return (1 - lr * weight_decay) * (W - lr * scale * P @ step)
