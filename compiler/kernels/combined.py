"""The LMO of a combination of several norms of one matrix, by iteration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def combined_lmo(
    m: Tensor, parts: tuple[tuple[str, float, float], ...], outer: float, steps: int
) -> Tensor:
    """Return argmin ⟨m, x⟩ over φ(w_1 ‖x‖_1, …, w_k ‖x‖_k) ≤ 1, approximately; 0 at m = 0.

    ADMM (Boyd et al., 2011, Foundations and Trends in Machine Learning 3, section 7) with a copy of
    (x, radius) in the cone w ‖x‖ ≤ radius of each norm. The result is scaled to norm 1.

    Args:
        m: matrices. parts: (place, p, w) of each norm: w times the ℓp norm of the sizes of
            "entries", of "singular" values, or of the lengths of "rows" or "cols"; p is 1, 2 or ∞.
        outer: the exponent of φ, 1, 2 or ∞. steps: number of iterations.
    """
    largest = m.abs().amax((-2, -1), keepdim=True)
    c = -m / torch.where(largest == 0, 1.0, largest)
    norm = torch.linalg.matrix_norm(c, keepdim=True)
    c = c / torch.where(norm == 0, 1.0, norm)
    unit = torch.ones_like(largest[..., 0])
    start = combined_size(c, parts, outer)
    weights = [w * unit / torch.where(start == 0, 1.0, start) for _, _, w in parts]
    copies, duals = [c for _ in parts], [torch.zeros_like(c) for _ in parts]
    radii, gaps = [0 * unit for _ in parts], [0 * unit for _ in parts]
    for _ in range(steps):
        x = torch.stack(copies).mean(0) - torch.stack(duals).mean(0) + c / len(parts)
        r = onto_ball(torch.cat(radii, -1) - torch.cat(gaps, -1), outer)
        for k, (place, p, _) in enumerate(parts):
            here = r[..., k : k + 1]
            sizes, rebuild = profile(x + duals[k], place)
            sizes, radii[k] = onto_cone(sizes, here + gaps[k], p, weights[k])
            copies[k] = rebuild(sizes)
            duals[k] = duals[k] + x - copies[k]
            gaps[k] = gaps[k] + here - radii[k]
    x = torch.stack(copies).mean(0)
    found = combined_size(x, parts, outer).unsqueeze(-1)
    return x / torch.where(found == 0, 1.0, found)


def combined_size(x: Tensor, parts: tuple[tuple[str, float, float], ...], outer: float) -> Tensor:
    """Return φ(w_1 ‖x‖_1, …), as a column of one."""
    each = [
        w * torch.linalg.vector_norm(profile(x, place)[0], p, dim=-1, keepdim=True)
        for place, p, w in parts
    ]
    return torch.linalg.vector_norm(torch.cat(each, -1), outer, dim=-1, keepdim=True)


def profile(x: Tensor, place: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the sizes a norm of x depends on, and the function that puts in others."""
    if place == "singular":
        u, s, vh = torch.linalg.svd(x, full_matrices=False)
        return s, lambda sizes: (u * sizes.unsqueeze(-2)) @ vh
    if place == "entries":
        return x.abs().flatten(-2), lambda sizes: x.sign() * sizes.reshape(x.shape)
    lengths = torch.linalg.vector_norm(x, dim=-1 if place == "rows" else -2, keepdim=True)
    unit = x / torch.where(lengths == 0, 1.0, lengths)
    return lengths.flatten(-2), lambda sizes: unit * sizes.reshape(lengths.shape)


def running_sums(x: Tensor) -> Tensor:
    """Return Σ_{j ≤ i} x_j over the last axis, by doubling.

    In an order of its own: that of `torch.cumsum` on a GPU changes from call to call, and the
    deterministic mode of torch refuses it.
    """
    reach = 1
    while reach < x.shape[-1]:
        x = x + torch.nn.functional.pad(x[..., :-reach], (reach, 0))
        reach *= 2
    return x


def counted(x: Tensor) -> Tensor:
    """Return 1, 2, 3, … along the last axis of x."""
    return torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)


def onto_cone(v: Tensor, t: Tensor, p: float, w: Tensor) -> tuple[Tensor, Tensor]:
    """Project (v, t) with v ≥ 0 onto w ‖v‖_p ≤ t; t and w have one entry for each vector."""
    if p == 2:
        length = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        shorter, t = onto_cone(length, t, 1.0, w)
        return v * (shorter / torch.where(length == 0, 1.0, length)), t
    ordered = v.sort(-1, descending=True).values
    sums, count = running_sums(ordered), counted(v)
    if p == 1:
        shifts = (w * sums - t) / (1 + count * w * w)
        active = (ordered > shifts * w).sum(-1, keepdim=True)
        shift = torch.cat([-t, shifts], -1).gather(-1, active).clamp_min(0)
        return (v - shift * w).clamp_min(0), t + shift
    levels = (sums + w * t) / (count + w * w)
    active = (ordered > levels).sum(-1, keepdim=True)
    level = torch.cat([t / w, levels], -1).gather(-1, active).clamp_min(0)
    return torch.minimum(v, level), torch.where(active == 0, t, w * level)


def onto_ball(r: Tensor, p: float) -> Tensor:
    """Project onto ‖r‖_p ≤ 1, for p = 1, 2 or ∞."""
    if p == float("inf"):
        return r.clamp(-1, 1)
    if p == 2:
        return r / torch.linalg.vector_norm(r, dim=-1, keepdim=True).clamp_min(1.0)
    sizes = r.abs().sort(-1, descending=True).values
    shifts = (running_sums(sizes) - 1) / counted(r)
    active = (sizes > shifts).sum(-1, keepdim=True)
    shift = shifts.gather(-1, active - 1).clamp_min(0)
    return r.sign() * (r.abs() - shift).clamp_min(0)
