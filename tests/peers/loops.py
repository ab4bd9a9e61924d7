"""Public codes whose departure the language cannot say, as literal loops."""

import torch
from references.tools import eigenvectors, ema


def gram_sides(g):
    return {"left": g @ g.T, "right": g.T @ g}


def soap_with_power_steps(
    w, g, t, state, *, loss=None, lr, beta1, beta2, eps, weight_decay, every=10
):
    """The first gradient gives bases only; they follow by one power step and QR, after use."""
    grams = {side: ema(state, side, x, beta2) for side, x in gram_sides(g).items()}
    if t == 1:
        state["bases"] = {side: eigenvectors(gram) for side, gram in grams.items()}
        return w
    n, ql, qr = t - 1, *state["bases"].values()
    v = ema(state, "v", (ql.T @ g @ qr) ** 2, beta2)
    step = ql @ (ql.T @ ema(state, "m", g, beta1) @ qr / (v.sqrt() + eps)) @ qr.T
    if n % every == 0:
        for axis, side in enumerate(grams):
            refresh(state, axis, side, grams[side])
    corrected = (1 - beta2**n) ** 0.5 / (1 - beta1**n)
    return (1 - lr * weight_decay) * (w - lr * corrected * step)


def refresh(state, axis, side, gram):
    """Sort the basis by its Rayleigh quotients, v along with it, then one power step in float32."""
    q = state["bases"][side]
    order = torch.argsort((q * (gram @ q)).sum(0), descending=True)
    state["v"] = state["v"].index_select(axis, order)
    powered = (gram @ q)[:, order].to(torch.float32)
    state["bases"][side] = torch.linalg.qr(powered).Q.to(gram.dtype)
