"""Rules that ask for the loss elsewhere, literally; `ask` answers on the sample of the step."""

import torch

from references.tools import ema


def joint(x):
    return x.square().sum().sqrt()


def sam(w, g, t, state, *, loss=None, ask=None, lr=0.1, rho=0.05):
    return w - lr * ask.grad(w + rho * g / joint(g))


def gradient_regularization(w, g, t, state, *, loss=None, ask=None, lr=0.1, gamma=0.1, far=0.01):
    return w - lr * (g + gamma / far * (ask.grad(w + far * g) - g))


def extragradient(w, g, t, state, *, loss=None, ask=None, lr=1e-3):
    return w - lr * ask.grad(w - lr * g)


def twin_polyak(w, g, t, state, *, loss=None, ask=None, kappa=1.0, apart=0.1):
    y = state.get("y", w - apart * g)
    theirs, slope = ask.loss(y), ask.grad(y)
    state["y"] = y
    if loss > theirs:
        return w - kappa * (loss - theirs) * g / g.square().sum()
    state["y"] = y - kappa * (theirs - loss) * slope / slope.square().sum()
    return w


def sophia_g(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    ask=None,
    lr=1e-3,
    beta1=0.96,
    beta2=0.99,
    gamma=0.05,
    eps=1e-12,
    weight_decay=0.0,
    examples=256.0,
    k=10,
):
    m = ema(state, "m", g, beta1)
    if k == 1 or t % k == 1:
        slope = ask.second.grad(w)
        ema(state, "h", examples * slope * slope, beta2)
    w = w - lr * weight_decay * w
    return w - lr * (m / (gamma * state["h"]).clamp_min(eps)).clamp(-1, 1)


def smb(w, g, t, state, *, loss=None, ask=None, lr=1.0, shrink=0.99, c=0.1):
    return model_step(w, g, loss, ask, ask, lr, shrink, c)


def smbi(w, g, t, state, *, loss=None, ask=None, lr=1.0, shrink=0.99, c=0.1):
    return model_step(w, g, loss, ask, ask.second, lr, shrink, c)


def model_step(w, g, loss, ask, model, lr, shrink, c):
    s = -lr * g
    if ask.loss(w + s) <= loss - c * lr * (g * g).sum():
        return w + s
    y = model.grad(w + s) - g
    ys, yg, sg, yy, ss = ((a * b).sum() for a, b in ((y, s), (y, g), (s, g), (y, y), (s, s)))
    sigma = 0.5 * (s.norm() * (y.norm() + g.norm() / shrink) - ys)
    theta = (ys + 2 * sigma) ** 2 - ss * yy
    cg = -ss / (2 * sigma)
    cs = cg / theta * (-(ys + 2 * sigma) * yg + yy * sg)
    cy = cg / theta * (-(ys + 2 * sigma) * sg + ss * yg)
    return w + cs * s + cg * g + cy * y


def storm(w, g, t, state, *, loss=None, ask=None, lr=1e-2, a=0.1):
    if t == 1:
        state["m"] = g
    else:
        state["m"] = g + (1 - a) * (state["m"] - ask.grad(state["w"]))
    state["w"] = w
    return w - lr * state["m"]


def nigt(w, g, t, state, *, loss=None, ask=None, lr=1e-2, eta=0.1):
    past = state.get("w", w)
    slope = ask.grad(w + (1 - eta) / eta * (w - past))
    state["m"] = slope if t == 1 else (1 - eta) * state["m"] + eta * slope
    state["w"] = w
    return w - lr * state["m"] / joint(state["m"])


def hessian_momentum(w, g, t, state, *, loss=None, ask=None, lr=1e-2, eta=0.1):
    if t == 1:
        state["m"] = g
    else:
        carried = state["m"] + ask.hessian(w, w - state["w"])
        state["m"] = (1 - eta) * carried + eta * g
    state["w"] = w
    return w - lr * state["m"]


def averaged_sgd(w, g, t, state, *, loss=None, lr=1e-2):
    new = w - lr * g
    state["total"] = state.get("total", torch.zeros_like(w)) + new
    state["evaluate"] = state["total"] / t
    return new


def schedule_free_sgd(w, g, t, state, *, loss=None, lr=1.0, beta=0.9, weight_decay=0.0):
    return schedule_free(w, g + weight_decay * w, t, state, lr, beta)


def schedule_free_adamw(
    w, g, t, state, *, loss=None, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
):
    state["v"] = beta2 * state.get("v", torch.zeros_like(w)) + (1 - beta2) * g * g
    direction = g / ((state["v"] / (1 - beta2**t)).sqrt() + eps) + weight_decay * w
    return schedule_free(w, direction, t, state, lr, beta1)


def schedule_free(w, direction, t, state, lr, beta):
    z = state.get("z", w) - lr * direction
    x = state.get("evaluate", w)
    state["z"], state["evaluate"] = z, (1 - 1 / t) * x + 1 / t * z
    return (1 - beta) * z + beta * state["evaluate"]
