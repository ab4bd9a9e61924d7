"""What designs are made of by default: norms, preconditioners, momenta and steps.

A preconditioner is a function from norms to norms, a momentum one of the gradient, a step one of
the learning rate, a norm and a momentum, which returns the new weights. Their further arguments are
hyper-parameters of the design, as those of a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from normdsl.expressions.domains import Fraction, Positive
from normdsl.expressions.expr import Expr
from normdsl.expressions.streams import G, W, loss
from normdsl.norms import (
    Norm,
    frobenius,
    lp,
    max_entry,
    nuclear,
    one_to_rms,
    outer_only,
    over_layers,
    preconditioned,
    rms_to_inf,
    rms_to_rms,
    schatten,
    spectral,
)
from normdsl.norms.clipping import clip_entries
from normdsl.norms.preconditioned import OuterOnly
from normdsl.vocabulary.averages import accumulate, ema
from normdsl.vocabulary.averages import momentum as two_rates
from normdsl.vocabulary.entrywise import abs as size
from normdsl.vocabulary.entrywise import maximum, reciprocal, sqrt
from normdsl.vocabulary.matrices import eigenbasis, matrix_power
from normdsl.vocabulary.reductions import mean
from normdsl.vocabulary.statistics import coupled_grams
from normdsl.vocabulary.steps import start

Part = Callable[..., Any]


def none(norm: Norm) -> Norm:
    """The norm itself."""
    return norm


def adam(norm: Norm, beta2: Fraction = 0.999) -> Norm:
    """‖v̂^¼ ∘ X‖: the second moment as in Adam."""
    v = ema(G * G, beta2, debias=True)
    return preconditioned(norm, hadamard=sqrt(sqrt(v)))


def sania(norm: Norm, beta2: Fraction = 0.999) -> Norm:
    """‖v̂^½ ∘ X‖: the second moment without Adam's root, which rescaling of entries leaves alone."""
    v = ema(G * G, beta2, debias=True)
    return preconditioned(norm, hadamard=sqrt(v))


def adagrad(norm: Norm) -> Norm:
    """‖v^¼ ∘ X‖ with v the sum of squares."""
    v = accumulate(G * G)
    return preconditioned(norm, hadamard=sqrt(sqrt(v)))


def rows(norm: Norm, beta2: Fraction = 0.999) -> Norm:
    """‖r^¼ ∘ X‖ with r the second moment of each row."""
    r = ema(mean(G * G, over="cols"), beta2, debias=True)
    return preconditioned(norm, hadamard=sqrt(sqrt(r)))


def relative(norm: Norm) -> Norm:
    """‖X / W₁‖: changes relative to the weights at first."""
    first = start(W)
    return preconditioned(norm, hadamard=reciprocal(size(first)))


def after(norm: Norm, beta2: Fraction = 0.999) -> OuterOnly:
    """Adam's second moment behind the LMO alone, as in AdaMuon: no norm, but a step."""
    v = ema(G * G, beta2, debias=True)
    return outer_only(norm, hadamard=sqrt(v))


def one_sided(norm: Norm, beta2: Fraction = 0.999) -> Norm:
    """‖L^¼ X‖ with L the average of G Gᵀ: one-sided Shampoo."""
    L = ema(G @ G.T, beta2, debias=True)
    return preconditioned(norm, left=matrix_power(L, 1 / 4))


def shampoo(norm: Norm, beta2: Fraction = 0.999) -> Norm:
    """‖L^⅛ X R^⅛‖ with averages of G Gᵀ and Gᵀ G: Shampoo."""
    L, R = ema(G @ G.T, beta2, debias=True), ema(G.T @ G, beta2, debias=True)
    return preconditioned(norm, left=matrix_power(L, 1 / 8), right=matrix_power(R, 1 / 8))


def coupled(norm: Norm, beta2: Fraction = 0.98, begin: Positive = 0.1) -> Norm:
    """‖L^½ X R^½‖ with KL-Shampoo's factors: what affine changes leave alone."""
    L, R = coupled_grams(G, beta2, begin)
    return preconditioned(norm, left=matrix_power(L, 1 / 2), right=matrix_power(R, 1 / 2))


def soap(norm: Norm, beta2: Fraction = 0.95) -> Norm:
    """‖v̂^¼ ∘ (Qᵀ X P)‖: Adam's second moment in Shampoo's eigenbases."""
    L, R = ema(G @ G.T, beta2), ema(G.T @ G, beta2)
    Q, P = eigenbasis(L), eigenbasis(R)
    v = ema((Q.T @ G @ P) ** 2, beta2, debias=True)
    return preconditioned(norm, rotate=(Q, P), hadamard=sqrt(sqrt(v)))


def plain(x: Expr) -> Expr:
    """The gradient of this step alone."""
    return x


def average(x: Expr, beta1: Fraction = 0.9) -> Expr:
    """m̂, the average gradient, without the bias of its start."""
    return ema(x, beta1, debias=True)


def nesterov(x: Expr, beta1: Fraction = 0.9) -> Expr:
    """β m + (1 − β) G with m ← β m + (1 − β) G: Nesterov's form of it."""
    return two_rates(x, beta1, readout=beta1 * beta1)


def lion(x: Expr, beta1: Fraction = 0.99, beta0: Fraction = 0.9) -> Expr:
    """A slow average, read with more of this step's gradient, as in Lion."""
    return two_rates(x, beta1, readout=beta0)


def lmo(lr: Expr, norm: Norm, m: Expr) -> Expr:
    """A step of fixed length: W plus lr times the LMO of m."""
    return W + lr * norm.lmo(m)


def sharp(lr: Expr, norm: Norm, m: Expr) -> Expr:
    """Steepest descent: W minus lr times the sharp operator of m."""
    return W - lr * norm.sharp(m)


def bounded(lr: Expr, norm: Norm, m: Expr, bound: Positive = 0.1) -> Expr:
    """The LMO's step, of which no entry is more than a share of what it was at first."""
    move, first = lr * norm.lmo(m), start(W)
    return W + clip_entries(move, bound * size(first))


def polyak(lr: Expr, norm: Norm, m: Expr) -> Expr:
    """Polyak's step: W − lr f / ‖m‖_*² · sharp(m), the norm that of all layers."""
    whole = over_layers(norm, lp(2))
    gap = maximum(loss, 0)
    return W - lr * gap * reciprocal(whole.dual(m)) ** 2 * whole.sharp(m)


NORMS: Mapping[str, Norm] = {
    "frobenius": frobenius,
    "spectral": spectral,
    "rms_to_rms": rms_to_rms,
    "schatten_4": schatten(4),
    "nuclear": nuclear,
    "max_entry": max_entry,
    "rms_to_inf": rms_to_inf,
    "one_to_rms": one_to_rms,
}
PRECONDITIONERS: Mapping[str, Part] = {
    f.__name__: f
    for f in (
        none,
        adam,
        sania,
        adagrad,
        rows,
        relative,
        after,
        one_sided,
        shampoo,
        coupled,
        soap,
    )
}
MOMENTA: Mapping[str, Part] = {f.__name__: f for f in (plain, average, nesterov, lion)}
STEPS: Mapping[str, Part] = {f.__name__: f for f in (lmo, sharp, bounded, polyak)}
