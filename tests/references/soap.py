"""Adam and sign in Shampoo's eigenbases: SOAP (arXiv:2409.11321), SPlus (arXiv:2506.07254)."""

from references.tools import eigenvectors, ema


def grams(g, state, beta2):
    """Averages of both Gram matrices before this gradient (zero at first); remembers it."""
    before = state.get("L", 0 * (g @ g.T)), state.get("R", 0 * (g.T @ g))
    ema(state, "L", g @ g.T, beta2)
    ema(state, "R", g.T @ g, beta2)
    return before


def turn_along(state, ql, qr):
    """Mixes old second moments by the squared cosines of new and old directions; remembers these.

    Where columns have only changed places or signs, the moments are permuted along.
    """
    if "v" in state:
        old_l, old_r = state["bases"]
        state["v"] = (ql.T @ old_l) ** 2 @ state["v"] @ (old_r.T @ qr) ** 2
    state["bases"] = ql, qr


def soap(
    w, g, t, state, *, loss=None, lr=3e-3, beta1=0.95, beta2=0.95, eps=1e-8, weight_decay=0.01
):
    left, right = grams(g, state, beta2)
    if t == 1:  # the first gradient gives the bases and no step
        return w
    ql, qr = eigenvectors(left), eigenvectors(right)
    turn_along(state, ql, qr)
    m = ema(state, "m", g, beta1) / (1 - beta1 ** (t - 1))
    v = ema(state, "v", (ql.T @ g @ qr) ** 2, beta2) / (1 - beta2 ** (t - 1))
    step = (ql.T @ m @ qr) / (v.sqrt() + eps)
    return (1 - lr * weight_decay) * w - lr * ql @ step @ qr.T


def splus(
    w, g, t, state, *, loss=None, lr=0.1, beta1=0.9, beta2=0.999, weight_decay=0.01, average=0.999
):
    ql, qr = map(eigenvectors, grams(g, state, beta2))
    step = ql @ (ql.T @ ema(state, "m", g, beta1) @ qr).sign() @ qr.T
    scaled = lr * 2 / sum(w.shape)
    new = (1 - scaled * weight_decay) * w - scaled * step
    state["evaluate"] = ema(state, "x", new, average) / (1 - average**t)
    return new
