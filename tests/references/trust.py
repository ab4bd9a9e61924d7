"""Trust ratios, literally: LAMB arXiv:1904.00962, LARS 1708.03888."""

from references.tools import moments


def lamb(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=1e-3,
    beta1=0.9,
    beta2=0.999,
    eps=1e-6,
    weight_decay=0.01,
    floor=1e-3,
):
    m, v = moments(g, t, state, beta1, beta2)
    u = m / (v.sqrt() + eps) + weight_decay * w
    return w - lr * max(float(w.norm()), floor) / u.norm() * u


def lars(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=1.0,
    momentum=0.9,
    trust=1e-3,
    weight_decay=1e-4,
    floor=1e-3,
):
    size = max(float(w.norm()), floor)
    ratio = trust * size / (g.norm() + weight_decay * size)
    state["v"] = momentum * state.get("v", 0 * w) + lr * ratio * (g + weight_decay * w)
    return w - state["v"]
