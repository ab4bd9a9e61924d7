"""Workers on samples of their own: local steps, outer steps, states averaged apart, compression."""

from __future__ import annotations

import normdsl as nd
from normdsl import G, W, t


def met(x, period):
    """Return x averaged over workers at every `period`-th step, and as each has it in between."""
    return nd.every(period, nd.mean(x, over="workers"), x)


def moment(x, beta, period):
    """Return an average of x from zero, corrected for that, which meets before it is updated."""
    s = nd.fix(lambda s: beta * met(s, period) + (1 - beta) * x, nd.zeros_like(x))
    return s / (1 - beta**t)


def outer(local, period, lr, momentum):
    """Return an anchor that takes Nesterov steps along what workers went, and z, their ends."""

    def moved(anchor, z):
        new = anchor - lr * (anchor - nd.mean(local, over="workers"))
        ahead = new + momentum * (new - z)
        return nd.every(period, ahead, anchor), nd.every(period, new, z)

    return nd.fix(moved, (W, W))


def sent(error, share):
    """Return the largest entries of an error; all of the first one."""
    return nd.where(t < 2, error, nd.top_k(error, share))


def quantised(x):
    """Return ‖x‖_F sign(x) at each entry with chance |x| / ‖x‖_F, 0 at others: x on average."""
    length = nd.frobenius.value(x)
    return length * nd.sign(x) * nd.where(nd.uniform_like(x) * length < nd.abs(x), 1, 0)


def averaged(x, rate):
    """Return an average of x from its first value on."""
    return nd.fix(lambda s: nd.where(t < 2, x, (1 - rate) * s + rate * x), nd.zeros_like(x))


@nd.optimizer
def local_sgd(lr: nd.NonNegative = 0.1, period: nd.Count = 8):
    """Local SGD: workers step on their own, and average their weights now and then.

    w ← W − lr G, W ← w, and W ← mean w over workers at every `period`-th step (Stich, 2018,
    arXiv:1805.09767; FedAvg of McMahan et al., 2016, arXiv:1602.05629, where all take part).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.local_sgd.check("translation").answer
        'invariant'
    """
    return met(W - lr * G, period)


@nd.optimizer
def des_loc(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.99,
    eps: nd.NonNegative = 1e-8,
    bound: nd.NonNegative = 1.0,
    period: nd.Count = 32,
    period1: nd.Count = 96,
    period2: nd.Count = 192,
):
    """DES-LOC with Adam: weights and both moments are averaged at periods of their own.

    g = G held in ±bound; before the update of a step that is a multiple of its period, W, m and v
    are averaged over workers; m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  W ← W − lr m̂ / (√v̂ +
    ε) (Iacob et al., 2025, arXiv:2505.22549). A moment with a long memory changes slowly: three and
    six times the period of W, as they suggest. Steps count from 1 here.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.des_loc.check("sign_flips", witnesses=False).answer
        'invariant'
    """
    g = nd.clip_entries(G, bound)
    m, v = moment(g, beta1, period1), moment(g * g, beta2, period2)
    return met(W, period) - lr * m * nd.reciprocal(nd.sqrt(v) + eps)


@nd.optimizer
def mt_dao(
    lr: nd.NonNegative = 1e-3,
    beta1: nd.Fraction = 0.999,
    beta2: nd.Fraction = 0.9999,
    share: nd.Fraction = 0.9,
    eps: nd.NonNegative = 1e-8,
    period: nd.Count = 32,
    period1: nd.Count = 32,
    period2: nd.Count = 32,
):
    """MT-DAO: a step of the gradient and of a momentum so slow that it seldom needs to meet.

    u ← β₁ u + (1 − β₁) G,  v ← β₂ v + (1 − β₂) G²,  W ← W − lr ((1 − ω) G + ω û) / (√v̂ + ε), W, u
    and v each averaged before every step that is a multiple of its period (Iacob et al., 2025,
    arXiv:2510.05361, with one momentum): QHAdam with workers. ω is `share`, 0.9 a choice of ours;
    both moments are corrected for their start, which what we read leaves open.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.mt_dao.check("loss_scale", witnesses=False).answer
        'invariant if eps = 0'
    """
    u, v = moment(G, beta1, period1), moment(G * G, beta2, period2)
    step = ((1 - share) * G + share * u) * nd.reciprocal(nd.sqrt(v) + eps)
    return met(W, period) - lr * step


@nd.optimizer
def diloco(
    lr: nd.NonNegative = 4e-4,
    beta1: nd.Fraction = 0.9,
    beta2: nd.Fraction = 0.999,
    eps: nd.NonNegative = 1e-8,
    weight_decay: nd.NonNegative = 0.1,
    outer_lr: nd.NonNegative = 0.7,
    outer_momentum: nd.Fraction = 0.9,
    period: nd.Count = 500,
):
    """DiLoCo: AdamW on each worker, and now and then a Nesterov step along what they have gone.

    Every `period` steps z' = a − lr' (a − mean w),  a ← z' + μ (z' − z),  w ← a, with w the weights
    after AdamW's step, a the anchor from which all began, and z the last z': a step of SGD of
    torch with Nesterov's momentum, whose buffer is (z − z') / lr'. The moments of AdamW go on as
    they are (Douillard et al., 2023, arXiv:2311.08105).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.diloco.check("translation", witnesses=False).answer
        'invariant if weight_decay = 0'
    """
    m = nd.ema(G, beta1, debias=True)
    v = nd.ema(G * G, beta2, debias=True)
    local = (1 - lr * weight_decay) * W - lr * m * nd.reciprocal(nd.sqrt(v) + eps)
    anchor, z = outer(local, period, outer_lr, outer_momentum)  # noqa: RUF059 (the name of a state)
    return nd.every(period, anchor, local)


@nd.optimizer
def muloco(
    lr: nd.NonNegative = 0.02,
    momentum: nd.Fraction = 0.95,
    weight_decay: nd.NonNegative = 0.01,
    outer_lr: nd.NonNegative = 0.7,
    outer_momentum: nd.Fraction = 0.9,
    period: nd.Count = 30,
):
    """MuLoCo: DiLoCo with Muon on each worker.

    w = (1 − lr λ) W − lr √max(1, m/n) polar(u), u the Nesterov form of m; every `period` steps the
    outer step of `diloco` (Thérien et al., 2025, arXiv:2505.23725). Their quantised differences
    with error feedback are left out.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.muloco.check("orthogonal", witnesses=False).answer
        'invariant'
    """
    u = nd.momentum(G, momentum, readout=momentum * momentum)
    local = (1 - lr * weight_decay) * W + lr * nd.scale.shape * nd.spectral.lmo(u)
    anchor, z = outer(local, period, outer_lr, outer_momentum)  # noqa: RUF059 (the name of a state)
    return nd.every(period, anchor, local)


@nd.optimizer
def error_feedback(lr: nd.NonNegative = 0.01, share: nd.Share = 0.1):
    """Error feedback: what a compressor leaves out is added to what is compressed next.

    c = C(e + lr G),  e ← e + lr G − c,  W ← W − mean c, C keeping the largest entries of each
    matrix (Seide et al., 2014; Karimireddy et al., 2019, arXiv:1901.09847).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.error_feedback.check("signed_permutations").answer
        'invariant'
    """
    e = nd.fix(lambda e: e + lr * G - nd.top_k(e + lr * G, share), nd.zeros_like(G))
    c = nd.top_k(nd.prev(e) + lr * G, share)
    return W - nd.mean(c, over="workers")


@nd.optimizer
def ef21(lr: nd.NonNegative = 0.01, share: nd.Share = 0.1):
    """EF21: each worker sends the compressed change of its gradient, and the server adds them up.

    c = C(G − g_i),  g_i ← g_i + c,  g ← g + mean c,  W ← W − lr g, the first gradients sent whole;
    C keeps the largest entries of each matrix (Richtárik, Sokolov and Fatkhullin, 2021,
    arXiv:2106.05203). The mean is taken of whole arrays here, zeros included.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.ef21.check("permutations").answer
        'invariant'
    """
    own = nd.fix(lambda own: own + sent(G - own, share), nd.zeros_like(G))
    c = sent(G - nd.prev(own), share)
    g = nd.accumulate(nd.mean(c, over="workers"))
    return W - lr * g


@nd.optimizer
def ef21_sgdm(lr: nd.NonNegative = 0.01, eta: nd.Fraction = 0.1, share: nd.Share = 0.1):
    """EF21-SGDM: EF21 of momenta, which a noisy gradient needs.

    v ← (1 − η) v + η G from the first gradient,  c = C(v − g_i),  g_i ← g_i + c,  g ← g + mean c,
    W ← W − lr g (Fatkhullin, Tyurin and Richtárik, 2023, arXiv:2305.15155).

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.ef21_sgdm.check("sign_flips").answer
        'invariant'
    """
    v = averaged(G, eta)
    own = nd.fix(lambda own: own + sent(v - own, share), nd.zeros_like(G))
    c = sent(v - nd.prev(own), share)
    g = nd.accumulate(nd.mean(c, over="workers"))
    return W - lr * g


@nd.optimizer
def normalized_ef21(lr: nd.NonNegative = 0.1, eta: nd.Fraction = 0.1, share: nd.Share = 0.1):
    """Normalised EF21: EF21 of momenta, with steps of a fixed length.

    `ef21_sgdm` with W ← W − lr g / ‖g‖_F (arXiv:2511.14501, Sokolov et al.). The analysis has the
    norm of all layers; their code that of each tensor, as here, and computes a weight decay that it
    then drops.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.normalized_ef21.check("loss_scale").answer
        'invariant'
    """
    v = averaged(G, eta)
    own = nd.fix(lambda own: own + sent(v - own, share), nd.zeros_like(G))
    c = sent(v - nd.prev(own), share)
    g = nd.accumulate(nd.mean(c, over="workers"))
    return W + lr * nd.frobenius.lmo(g)


@nd.optimizer
def ef21_muon(
    lr: nd.NonNegative = 0.02,
    beta: nd.Fraction = 0.9,
    share: nd.Share = 0.1,
    server_share: nd.Share = 0.1,
):
    """EF21-Muon: Muon of a mean momentum, compressed on the way to the server and back.

    v ← β v + (1 − β) G from the first gradient,  g as in `ef21` of v,  X ← X − lr polar(g),
    W ← W + C'(X − W): the server has the iterate X, and workers the weights W, which follow by
    what is broadcast (Gruntkowska et al., 2025, arXiv:2510.00643). Without compression, Muon with
    an average as momentum.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.ef21_muon.check("signed_permutations", witnesses=False).answer
        'invariant'
    """
    v = averaged(G, 1 - beta)
    own = nd.fix(lambda own: own + sent(v - own, share), nd.zeros_like(G))
    c = sent(v - nd.prev(own), share)
    g = nd.accumulate(nd.mean(c, over="workers"))
    X = nd.accumulate(lr * nd.spectral.lmo(g), W)
    return W + nd.top_k(X - W, server_share)


@nd.optimizer
def diana(lr: nd.NonNegative = 0.01, alpha: nd.Fraction = 0.1, beta: nd.Fraction = 0.9):
    """DIANA: each worker sends what its gradient differs by from a shift that learns it, quantised.

    c = Q(G − h_i),  h_i ← h_i + α c,  v ← β v + h + mean c,  h ← h + α mean c,  W ← W − lr v, with
    Q(x) = ‖x‖ sign(x) at each entry with chance |x| / ‖x‖, 0 elsewhere, of each matrix
    (Mishchenko, Gorbunov, Takáč and Richtárik, 2019, arXiv:1901.09269, with p = 2; theirs is of
    blocks, with α at most 1/√d for d entries of one, and a proximal step). With α = 0 and β = 0,
    QGD. Draws are the same on all workers here, on which the proofs do not depend, but rates do.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.diana.check("permutations").answer
        'invariant in law'
    """
    own = nd.fix(lambda own: own + alpha * quantised(G - own), nd.zeros_like(G))
    c = nd.mean(quantised(G - nd.prev(own)), over="workers")
    h = nd.accumulate(alpha * c)
    return W - lr * nd.momentum(nd.prev(h) + c, beta, normalized=False)


@nd.optimizer
def marina(lr: nd.NonNegative = 0.01, probability: nd.Fraction = 0.1, share: nd.Share = 0.1):
    """MARINA: workers send compressed changes of their gradients, and now and then all of these.

    g ← mean G with probability p and at the first step, else g ← g + mean Q(G − G₋), W ← W − lr g,
    by one coin for all layers and workers; Q keeps each entry with chance `share`, divided by it
    (Gorbunov, Burlachenko, Li and Richtárik, 2021, arXiv:2102.07845, whose gradients are of all
    samples of a worker: G₋ is the last one. Their VR-MARINA takes it anew on each sample, as
    `page_sgd` does). Their experiments keep a fixed number of entries, at random.

    Example:
        >>> import normdsl as nd
        >>> nd.algorithms.marina.check("sign_flips").answer
        'invariant'
    """
    anew = nd.maximum(nd.mask(probability, over="layers"), nd.where(t < 2, 1, 0))
    kept = nd.mask(share, nd.rows, nd.cols) / share
    c = nd.mean(anew * G + (1 - anew) * kept * (G - nd.prev(G)), over="workers")
    g = nd.fix(lambda g: (1 - anew) * g + c, nd.zeros_like(G))
    return W - lr * g
