"""Lookahead, literally: arXiv:1907.08610."""

from references.adaptive import adamw
from references.descent import sgd_momentum


def drawn_back(w, new, t, state, k, alpha):
    """The new fast weights, after a slow step where the fast ones have taken k."""
    slow = state.setdefault("slow", w)
    if t % k:
        return new
    state["slow"] = slow + alpha * (new - slow)
    return state["slow"]


def lookahead_sgd(w, g, t, state, *, loss=None, lr=0.1, momentum=0.9, k=5, alpha=0.8):
    return drawn_back(w, sgd_momentum(w, g, t, state, lr=lr, momentum=momentum), t, state, k, alpha)


def lookahead_adamw(
    w,
    g,
    t,
    state,
    *,
    loss=None,
    lr=1e-3,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.01,
    k=5,
    alpha=0.5,
):
    moments = {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
    return drawn_back(w, adamw(w, g, t, state, lr=lr, **moments), t, state, k, alpha)
