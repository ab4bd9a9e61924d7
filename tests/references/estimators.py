"""Gradients kept up to date by their changes, literally; `ask` answers on the sample of the step.

SARAH arXiv:1703.00102; PAGE 2008.10898; MARS 2411.10438; RHM 2205.08253; Clip-NSGDHess 2510.10690.
"""

from references.draws import uniform
from references.tools import ema


def recursive(w, g, state, ask, anew):
    if anew:
        state["v"] = g
    else:
        state["v"] = state["v"] + g - ask.grad(state["w"])
    state["w"] = w
    return state["v"]


def sarah(w, g, t, state, *, loss=None, ask=None, lr=1e-2, period=10):
    return w - lr * recursive(w, g, state, ask, t == 1 or t % period == 0)


def page_sgd(w, g, t, state, *, loss=None, ask=None, lr=1e-2, probability=0.1):
    return w - lr * recursive(w, g, state, ask, t == 1 or uniform(t, key=32) < probability)


def mars_exact(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    ask=None,
    lr=3e-3,
    beta1=0.95,
    beta2=0.99,
    gamma=0.025,
    eps=1e-8,
    weight_decay=0.0,
):
    c = g + gamma * beta1 / (1 - beta1) * (g - ask.grad(state.get("w", w)))
    c, state["w"] = clipped(c, 1), w
    m = ema(state, "m", c, beta1) / (1 - beta1**t)
    root = ema(state, "v", c * c, beta2).sqrt() + eps
    return w - lr * weight_decay * w - lr * m * (1 - beta2**t) ** 0.5 / root


def clipped(x, limit):
    return x * min(1.0, limit / float(x.norm()))


def carried(w, t, state, ask):
    """The Hessian at a random point between the last weights and these, times their difference."""
    old = state.get("w", w)
    state["w"] = w
    return ask.hessian(old + uniform(t, key=32) * (w - old), w - old)


def randomized_hessian_momentum(w, g, t, state, *, loss=None, ask=None, lr=1e-2, eta=0.1):
    way = carried(w, t, state, ask)
    state["m"] = g if t == 1 else (1 - eta) * (state["m"] + way) + eta * g
    return w - lr * state["m"] / state["m"].norm()


def clipped_hessian_momentum(
    w, g, t, state, *, loss=None, ask=None, lr=1e-2, eta=0.1, limit=1.0, hessian_limit=10.0
):
    way, g = carried(w, t, state, ask), clipped(g, limit)
    if t == 1:
        state["m"] = g
    else:
        way = lr * clipped(way / lr, hessian_limit)
        state["m"] = (1 - eta) * (state["m"] + way) + eta * g
    return w - lr * state["m"] / state["m"].norm()
