"""Weight decay, by kind: what a rule writes in place of W, or of G.

    return nd.decay.decoupled(lr, weight_decay) + lr * nd.spectral.lmo(u)

λ is `weight_decay`. All but `coupled` return what is left of the weights `w`, which are W unless
the decay comes after the step; `coupled` returns a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes.constants import as_expr
from normdsl.expressions.streams import W
from normdsl.near import module_face
from normdsl.vocabulary.entrywise import minimum, sign

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face(
        "nd.decay", ("coupled", "decoupled", "independent", "corrected", "cautious")
    )


def coupled(g: Any, weight_decay: Any, w: Any = W) -> Expr:
    """Return g + λ W, the gradient of the loss with ½ λ ‖W‖² added (Hanson and Pratt, 1988).

    For the moments: nd.ema(nd.decay.coupled(G, weight_decay), beta); in torch.optim, the
    `weight_decay` of SGD and Adam.

    Example:
        >>> import normdsl as nd
        >>> print(nd.decay.coupled(nd.G, 0.01))
        G + 0.01 W
    """
    return as_expr(g) + as_expr(weight_decay) * as_expr(w)


def decoupled(lr: Any, weight_decay: Any, w: Any = W) -> Expr:
    """Return the decayed weights (1 − lr λ) W, as in AdamW.

    Loshchilov and Hutter, 2017 (arXiv:1711.05101).

    Example:
        >>> import normdsl as nd
        >>> print(nd.decay.decoupled(0.1, 0.01))
        0.999 W
    """
    return (1 - as_expr(lr) * as_expr(weight_decay)) * as_expr(w)


def independent(weight_decay: Any, w: Any = W) -> Expr:
    """Return the decayed weights (1 − λ) W, whatever the learning rate is.

    Wortsman et al., 2023 (arXiv:2309.14322); the form of arXiv:1711.05101 where its schedule
    multiplier is 1.

    Example:
        >>> import normdsl as nd
        >>> print(nd.decay.independent(0.01))
        0.99 W
    """
    return (1 - as_expr(weight_decay)) * as_expr(w)


def corrected(lr: Any, weight_decay: Any, lr_max: Any, w: Any = W) -> Expr:
    """Return the decayed weights (1 − lr² λ / lr_max) W, whose λ falls with the schedule.

    Defazio, 2025 (arXiv:2506.02285). With lr_max the peak of the schedule, it is `decoupled` there.
    For layers below a normalization; the paper decays the others as AdamW does.

    Example:
        >>> import normdsl as nd
        >>> print(nd.decay.corrected(0.1, 0.01, lr_max=0.2))
        0.9995 W
    """
    return (1 - as_expr(lr) ** 2 / as_expr(lr_max) * as_expr(weight_decay)) * as_expr(w)


def cautious(lr: Any, weight_decay: Any, u: Any, w: Any = W) -> Expr:
    """Return W decayed only in the entries that the step moves towards zero.

    (1 − lr λ 1[u ∘ W ≥ 0]) ∘ W (Chen et al., 2025, arXiv:2510.12402). The step is W ← W − lr u, so
    that an LMO enters with its sign changed: u = −norm.lmo(m). Where u or W is 0 the entry decays.

    Example:
        >>> import normdsl as nd
        >>> print(nd.decay.cautious(0.1, 0.01, nd.G))
        (1 + 0.001 max(−(1 + sign(G ∘ W)), −1)) ∘ W
    """
    # 1[x ≥ 0] = min(1 + sign(x), 1), in functions whose laws are known.
    agree = minimum(1 + sign(as_expr(u) * as_expr(w)), 1)
    return (1 - as_expr(lr) * as_expr(weight_decay) * agree) * as_expr(w)
