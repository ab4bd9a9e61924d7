"""Muon by other step lengths, literally.

AdaGO arXiv:2509.02981; NAMO 2602.17080; Gluon 2505.13416; PolarGrad 2505.21799; MuonMax 2510.09827;
trust region 2503.12645. Of one layer, which is then all of them.
"""

from references.tools import ema, nuclear, polar


def adago(w, g, t, state, *, loss=None, lr=0.05, momentum=0.95, limit=10.0, start=1e-6, least=5e-4):
    m, size = ema(state, "m", g, momentum), min(float(g.norm()), limit)
    state["v2"] = state.get("v2", start**2) + size**2
    return w - max(least, lr * size / state["v2"] ** 0.5) * polar(m)


def namo(w, g, t, state, *, loss=None, lr=0.01, beta1=0.95, beta2=0.99, eps=1e-8):
    m, v = ema(state, "m", g, beta1), ema(state, "v", (g * g).sum(), beta2)
    return w - lr * m.norm() / (v.sqrt() + eps) * polar(m)


def gluon(w, g, t, state, *, loss=None, smoothness=1.0, relative_smoothness=50.0, momentum=0.9):
    size = nuclear(g)
    radius = size / (smoothness + relative_smoothness * size)
    return w - radius * polar(ema(state, "m", g, momentum))


def polargrad(w, g, t, state, *, loss=None, lr=1e-3, momentum=0.95, alpha=1.0, weight_decay=0.0):
    m = ema(state, "m", g, momentum)
    return (1 - lr * weight_decay) * w - lr * nuclear(m) ** alpha * polar(m)


def from_the_first(state, name, x, beta):
    """An average that starts at the first x."""
    state[name] = beta * state.get(name, x) + (1 - beta) * x
    return state[name]


def muonmax(w, g, t, state, *, loss=None, lr=0.01, momentum=0.95, weight_decay=0.1):
    m = from_the_first(state, "m", g, momentum)
    return (1 - lr * weight_decay) * w - lr * nuclear(m) * polar(m)


def muonmax_momo(w, g, t, state, *, loss=None, lr=0.01, momentum=0.95, weight_decay=0.1, floor=0.0):
    m = from_the_first(state, "m", g, momentum)
    f = from_the_first(state, "f", loss - float((w * g).sum()), momentum)
    gap = max(f + float((w * m).sum()) - floor, 0)
    cut = min(lr, gap / nuclear(m) ** 2)
    return (1 - lr * weight_decay) * w - cut * nuclear(m) * polar(m)


def trust_region_muon(w, g, t, state, *, loss=None, lr=0.02, momentum=0.95, shrink=2**-12):
    return (1 - shrink) * w - lr * polar(ema(state, "m", g, momentum))
