"""Kronecker-factored methods, literally.

Shampoo arXiv:1802.09568; one-sided 2503.10537 and 2503.20762; KL-Shampoo 2509.03378.
"""

from references.tools import ema, eye, root


def shampoo(w, g, t, state, *, loss=None, lr=1e-2, eps=1e-12):
    rows, cols = w.shape
    state["A"] = state.get("A", eps * eye(rows, w)) + g @ g.T
    state["B"] = state.get("B", eps * eye(cols, w)) + g.T @ g
    return w - lr * root(state["A"], -0.25) @ g @ root(state["B"], -0.25)


def one_sided_shampoo(w, g, t, state, *, loss=None, lr=1e-2, beta=0.9, eps=1e-12):
    state["L"] = state.get("L", eps * eye(len(w), w)) + g @ g.T
    return w - lr * root(state["L"], -0.5) @ ema(state, "m", g, beta)


def kl_factors(g, state, beta2, start):
    """Each factor averages the gradient whitened by the old value of the other."""
    rows, cols = g.shape
    a = state.get("S_a", start * eye(rows, g))
    b = state.get("S_b", start * eye(cols, g))
    state["S_a"] = beta2 * a + (1 - beta2) / cols * g @ root(b, -1) @ g.T
    state["S_b"] = beta2 * b + (1 - beta2) / rows * g.T @ root(a, -1) @ g
    return root(state["S_a"], -0.5), root(state["S_b"], -0.5)


def kl_shampoo(
    w, g, t, state, *, loss=None, lr=1e-3, beta1=0.9, beta2=0.98, start=0.1, weight_decay=0.01
):
    left, right = kl_factors(g, state, beta2, start)
    return (1 - lr * weight_decay) * w - lr * left @ ema(state, "m", g, beta1) @ right
