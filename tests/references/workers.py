"""Workers, literally: each loop steps a list of them, each with weights, a gradient and a memory.

Local SGD arXiv:1805.09767; DES-LOC 2505.22549; MT-DAO 2510.05361; DiLoCo 2311.08105; MuLoCo
2505.23725; error feedback 1901.09847; EF21 2106.05203; EF21-SGDM 2305.15155; normalised EF21
2511.14501; EF21-Muon 2510.00643; DIANA 1901.09269; MARINA 2102.07845.
"""

import functools

import torch

from references.draws import entries, uniform
from references.muon import muon
from references.tools import moments, polar


def of_one(loop):
    """The loop of a single worker, with the arguments of all other loops."""

    @functools.wraps(loop)
    def one(w, g, t, state, **options):
        return loop([w], [g], t, [state], **options)[0]

    one.of_many = loop
    return one


def mean(values):
    return sum(values) / len(values)


def meet(states, name, t, period, start):
    """Replace what each worker remembers by the mean, at every `period`-th step."""
    for state, x in zip(states, start, strict=True):
        state.setdefault(name, x)
    if t % period == 0:
        shared = mean([state[name] for state in states])
        for state in states:
            state[name] = shared


def largest(x, share):
    """x where it is not below the quantile 1 − share of all magnitudes, which may lie between."""
    sizes = x.abs().flatten().sort().values
    place = (1 - share) * (len(sizes) - 1)
    low = int(place)
    high = min(low + 1, len(sizes) - 1)
    least = sizes[low] + (place - low) * (sizes[high] - sizes[low])
    return torch.where(x.abs() >= least, x, 0.0)


@of_one
def local_sgd(ws, gs, t, states, *, loss=None, lr=0.1, period=8):
    new = [w - lr * g for w, g in zip(ws, gs, strict=True)]
    return [mean(new)] * len(ws) if t % period == 0 else new


def averaged_moment(states, name, xs, t, beta, period):
    meet(states, name, t, period, [torch.zeros_like(x) for x in xs])
    for state, x in zip(states, xs, strict=True):
        state[name] = beta * state[name] + (1 - beta) * x
    return [state[name] / (1 - beta**t) for state in states]


@of_one
def des_loc(
    ws,
    gs,
    t,
    states,
    *,
    loss=None,
    lr=1e-3,
    beta1=0.9,
    beta2=0.99,
    eps=1e-8,
    bound=1.0,
    period=32,
    period1=96,
    period2=192,
):
    gs = [g.clamp(-bound, bound) for g in gs]
    ms = averaged_moment(states, "m", gs, t, beta1, period1)
    vs = averaged_moment(states, "v", [g * g for g in gs], t, beta2, period2)
    ws = [mean(ws)] * len(ws) if t % period == 0 else ws
    return [w - lr * m / (v.sqrt() + eps) for w, m, v in zip(ws, ms, vs, strict=True)]


@of_one
def mt_dao(
    ws,
    gs,
    t,
    states,
    *,
    loss=None,
    lr=1e-3,
    beta1=0.999,
    beta2=0.9999,
    share=0.9,
    eps=1e-8,
    period=32,
    period1=32,
    period2=32,
):
    us = averaged_moment(states, "u", gs, t, beta1, period1)
    vs = averaged_moment(states, "v", [g * g for g in gs], t, beta2, period2)
    ws = [mean(ws)] * len(ws) if t % period == 0 else ws
    each = zip(ws, gs, us, vs, strict=True)
    return [w - lr * ((1 - share) * g + share * u) / (v.sqrt() + eps) for w, g, u, v in each]


def outer_step(ws, local, t, states, lr, momentum, period):
    """torch's SGD with Nesterov's momentum, whose gradient is how far workers went."""
    if "outer" not in states[0]:
        anchor = torch.nn.Parameter(ws[0].clone())
        options = {"lr": lr, "momentum": momentum, "nesterov": momentum > 0}
        states[0]["outer"] = anchor, torch.optim.SGD([anchor], **options)
    if t % period:
        return local
    anchor, opt = states[0]["outer"]
    anchor.grad = anchor.detach() - mean(local)
    opt.step()
    return [anchor.detach().clone()] * len(ws)


@of_one
def diloco(
    ws,
    gs,
    t,
    states,
    *,
    loss=None,
    lr=4e-4,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.1,
    outer_lr=0.7,
    outer_momentum=0.9,
    period=500,
):
    local = []
    for w, g, state in zip(ws, gs, states, strict=True):
        m, v = moments(g, t, state, beta1, beta2)
        local.append(w - lr * weight_decay * w - lr * m / (v.sqrt() + eps))
    return outer_step(ws, local, t, states, outer_lr, outer_momentum, period)


@of_one
def muloco(
    ws,
    gs,
    t,
    states,
    *,
    loss=None,
    lr=0.02,
    momentum=0.95,
    weight_decay=0.01,
    outer_lr=0.7,
    outer_momentum=0.9,
    period=30,
):
    options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    each = zip(ws, gs, states, strict=True)
    local = [muon(w, g, t, state, **options) for w, g, state in each]
    return outer_step(ws, local, t, states, outer_lr, outer_momentum, period)


@of_one
def error_feedback(ws, gs, t, states, *, loss=None, lr=0.01, share=0.1):
    sent = []
    for g, state in zip(gs, states, strict=True):
        whole = state.get("e", 0) + lr * g
        sent.append(largest(whole, share))
        state["e"] = whole - sent[-1]
    return [w - mean(sent) for w in ws]


def corrected(vs, states, share):
    """The server's estimate: the first vectors are sent whole, then compressed changes."""
    sent = []
    for v, state in zip(vs, states, strict=True):
        c = largest(v - state["g"], share) if "g" in state else v
        state["g"] = state.get("g", 0) + c
        sent.append(c)
    states[0]["server"] = states[0].get("server", 0) + mean(sent)
    return states[0]["server"]


def averages(gs, states, rate):
    for g, state in zip(gs, states, strict=True):
        state["v"] = (1 - rate) * state["v"] + rate * g if "v" in state else g
    return [state["v"] for state in states]


@of_one
def ef21(ws, gs, t, states, *, loss=None, lr=0.01, share=0.1):
    g = corrected(gs, states, share)
    return [w - lr * g for w in ws]


@of_one
def ef21_sgdm(ws, gs, t, states, *, loss=None, lr=0.01, eta=0.1, share=0.1):
    g = corrected(averages(gs, states, eta), states, share)
    return [w - lr * g for w in ws]


@of_one
def normalized_ef21(ws, gs, t, states, *, loss=None, lr=0.1, eta=0.1, share=0.1):
    g = corrected(averages(gs, states, eta), states, share)
    return [w - lr * g / g.norm() for w in ws]


@of_one
def ef21_muon(ws, gs, t, states, *, loss=None, lr=0.02, beta=0.9, share=0.1, server_share=0.1):
    g = corrected(averages(gs, states, 1 - beta), states, share)
    states[0]["X"] = states[0].get("X", ws[0]) - lr * polar(g)
    change = largest(states[0]["X"] - ws[0], server_share)
    return [w + change for w in ws]


def quantised(x, t):
    chances = x.abs() / x.norm() if x.any() else x.abs()
    return torch.where(entries(t, 38, x.shape, uniform) < chances, x.norm() * x.sign(), 0.0)


@of_one
def diana(ws, gs, t, states, *, loss=None, lr=0.01, alpha=0.1, beta=0.9):
    sent = []
    for g, state in zip(gs, states, strict=True):
        sent.append(quantised(g - state.get("h", 0), t))
        state["h"] = state.get("h", 0) + alpha * sent[-1]
    server = states[0]
    estimate = server.get("server", 0) + mean(sent)
    server["server"] = server.get("server", 0) + alpha * mean(sent)
    server["v"] = beta * server.get("v", 0) + estimate
    return [w - lr * server["v"] for w in ws]


@of_one
def marina(ws, gs, t, states, *, loss=None, lr=0.01, probability=0.1, share=0.1):
    if t == 1 or uniform(t, key=32) < probability:
        g = mean(gs)
    else:
        kept = entries(t, 38, gs[0].shape, uniform) < share
        changes = [g - state["last"] for g, state in zip(gs, states, strict=True)]
        g = states[0]["g"] + mean([torch.where(kept, x / share, 0.0) for x in changes])
    for own, state in zip(gs, states, strict=True):
        state["last"] = own
    states[0]["g"] = g
    return [w - lr * g for w in ws]
