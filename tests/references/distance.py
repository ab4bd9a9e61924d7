"""Steps by past gradients and distances, literally, of one layer, which is then all of them.

AdaGrad-Norm arXiv:1806.01811; DoG 2302.12022; Prodigy 2306.06101.
"""

import torch

from references.tools import ema


def adagrad_norm(w, g, t, state, *, loss=None, lr=1.0, start=0.1):
    state["b2"] = state.get("b2", start**2) + float((g * g).sum())
    return w - lr / state["b2"] ** 0.5 * g


def dog(w, g, t, state, *, loss=None, lr=1.0, alpha=1e-6, eps=1e-8):
    start = state.setdefault("start", w)
    first = alpha * (1 + float(start.norm()))
    state["r"] = max(state.get("r", first), float((w - start).norm()))
    state["sum"] = state.get("sum", eps) + float((g * g).sum())
    return w - lr * state["r"] / state["sum"] ** 0.5 * g


def layerwise_dog(w, g, t, state, *, loss=None, lr=1.0, alpha=1e-6, eps=1e-8):
    return dog(w, g, t, state, lr=lr, alpha=alpha, eps=eps)


def prodigy(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=1.0,
    beta1=0.9,
    beta2=0.999,
    start=1e-6,
    eps=1e-8,
    weight_decay=0.0,
):
    w0, d, keep = state.setdefault("start", w), state.get("d", start), beta2**0.5
    m, v = ema(state, "m", d * g, beta1), ema(state, "v", d * d * g * g, beta2)
    state["r"] = keep * state.get("r", 0.0) + lr * d * d * float((g * (w0 - w)).sum())
    state["s"] = keep * state.get("s", torch.zeros_like(g)) + lr * d * d * g
    state["d"] = max(d, state["r"] / float(state["s"].abs().sum()))
    return w - lr * d * weight_decay * w - lr * d * m / (v.sqrt() + state["d"] * eps)


def dadapt_adam(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=1.0,
    beta1=0.9,
    beta2=0.999,
    start=1e-6,
    eps=1e-8,
    weight_decay=0.0,
):
    keep, rate = beta2**0.5, lr * state.get("d", start)
    s, old = state.get("s", torch.zeros_like(g)), state.get("v", torch.zeros_like(g))
    along = float((g * s / (old.sqrt() + eps)).sum())
    state["r"] = keep * state.get("r", 0.0) + (1 - keep) * rate * along
    state["s"] = keep * s + (1 - keep) * rate * g
    bound = state["r"] / ((1 - keep) * float(state["s"].abs().sum()))
    state["d"] = max(state.get("d", start), bound)
    m, v = ema(state, "m", rate * g, beta1), ema(state, "v", g * g, beta2)
    return (1 - rate * weight_decay) * w - m / (v.sqrt() + eps)


def u_dog(w, g, t, state, *, loss=None, ask=None, start=1e-3):
    s = state
    if t == 1:
        s.update(x0=w, r=start, R=0.0, summed=0 * w, total=0.0, Q=0.0, M=0.0)
    s["r"] = max(s["r"], float((w - s["x0"]).norm()))
    s["R"] += s["r"]
    alpha = s["R"] / s["r"]
    omega = alpha * s["r"]
    s["total"] += omega
    m = ask.grad((s["summed"] + omega * w) / s["total"])
    s["M"] = max(s["M"], float((alpha * m).square().sum()))
    x = w - alpha * s["r"] / (s["Q"] + s["M"]) ** 0.5 * m
    s["summed"] = s["summed"] + omega * x
    s["evaluate"] = s["summed"] / s["total"]
    g = ask.grad(s["evaluate"])
    s["Q"] += float((alpha * (g - m)).square().sum())
    return w - alpha * s["r"] / (s["Q"] + s["M"]) ** 0.5 * g
