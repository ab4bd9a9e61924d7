"""Noisy ill-conditioned quadratics, as gradient and loss of the weights: where rules are compared.

At step t the loss is ½ Σ h (w + n_t)² with curvatures h from 1e-3 to 10 and fresh noise n_t, so
that it is at least 0, and its minimiser moves. In the rank-deficient case it reads the weights
through block averages with signs: every gradient, to the last bit, lies in one subspace of rank 2.
"""

import inspect
from collections.abc import Callable

import attrs
import numpy as np
import torch
from torch import Tensor

STEPS = 100


@attrs.frozen(eq=False)
class Case:
    """A start, and what a rule is told of the loss at weights w in step t (from 1).

    `value` is the loss as a tensor that can be differentiated, where the gradient is that of it.
    """

    name: str
    start: Tensor
    loss: Callable[[Tensor, int], float]
    grad: Callable[[Tensor, int], Tensor]
    value: Callable[[Tensor, int], Tensor] | None = None


@attrs.frozen
class Ask:
    """The loss of one step, wherever a loop asks for it."""

    case: Case
    t: int

    @property
    def second(self):
        """The same on the second sample of the step."""
        return Ask(self.case, second(self.t))

    def loss(self, w):
        return self.case.loss(w, self.t)

    def grad(self, w):
        return self.case.grad(w, self.t)

    def hessian(self, w, v):
        slope = torch.func.grad(lambda x: self.case.value(x, self.t))
        return torch.func.jvp(slope, (w,), (v,))[1]


def second(t):
    """The step whose sample is the second one of a step: an earlier or later one."""
    return STEPS + 1 - t


def quadratic(name, shape, seed=0):
    rng = np.random.default_rng(seed)
    h = torch.as_tensor(10 ** rng.uniform(-3, 1, shape))
    noise = 0.1 * torch.as_tensor(rng.standard_normal((STEPS, *shape))) / h
    start = torch.as_tensor(rng.standard_normal(shape))

    def value(w, t):
        return 0.5 * (h * (w + noise[t - 1]) ** 2).sum()

    return Case(
        name,
        start,
        lambda w, t: float(value(w, t)),
        lambda w, t: h * (w + noise[t - 1]),
        value,
    )


def rank_deficient(seed=0):
    """6×5 of rank 2: rows and columns come in blocks, equal up to sign."""
    u = torch.tensor([[1.0, 1, -1, 0, 0, 0], [0, 0, 0, 1, -1, 1]]).double().T
    v = torch.tensor([[1.0, -1, 1, 0, 0], [0, 0, 0, 1, 1]]).double().T
    inner = quadratic("", (2, 2), seed)
    rows, cols = u / u.abs().sum(0), v / v.abs().sum(0)
    return Case(
        "rank-deficient",
        u @ inner.start @ v.T,
        lambda w, t: inner.loss(rows.T @ w @ cols, t),
        lambda w, t: rows @ inner.grad(rows.T @ w @ cols, t) @ cols.T,
        lambda w, t: inner.value(rows.T @ w @ cols, t),
    )


def aligned(case):
    """The same case, but its first gradients cover the diagonals of square blocks, one at a time.

    Exact zeros elsewhere: eigenvectors are exact too, until no Gram matrix is singular any more.
    """
    rows, cols = case.start.shape
    short, long = min(rows, cols), max(rows, cols)
    prelude = []
    for first in range(0, long, short):
        block = torch.zeros(long, short, dtype=torch.float64)
        for k in range(min(short, long - first)):
            block[first + k, k] = 1 + 0.1 * (first + 2 * k)
        prelude.append(block if rows >= cols else block.T)
    return attrs.evolve(
        case,
        name=f"{case.name}, aligned",
        grad=lambda w, t: prelude[t - 1] if t <= len(prelude) else case.grad(w, t),
    )


def replayed(case, lr=1e-2):
    """The gradients and losses of an SGD run on the case, whatever the weights are."""
    grads, losses, w = [], [], case.start
    for t in range(1, STEPS + 1):
        grads.append(case.grad(w, t))
        losses.append(case.loss(w, t))
        w = w - lr * grads[-1]
    return Case(
        f"{case.name}, replayed",
        case.start,
        lambda w, t: losses[t - 1],
        lambda w, t: grads[t - 1],
    )


SHAPES = {
    "tall": (7, 3),
    "wide": (3, 7),
    "square": (4, 4),
    "larger square": (5, 5),
    "row": (1, 5),
    "column": (5, 1),
}
CASES = [*(quadratic(name, shape) for name, shape in SHAPES.items()), rank_deficient()]
ALIGNED = [aligned(case) for case in CASES[:-1]]
REPLAYED = [replayed(case) for case in CASES]

#: Where one gradient, or exact zeros, leave no eigenvectors to rounding.
SEEN = [*(case for case in CASES if "square" in case.name), *ALIGNED]
UNSEEN = (
    "Its bases know the gradients of the steps before. Of a tall or wide matrix the first of them "
    "leave directions unseen, whose eigenvectors are rounding's choice and which the next gradient "
    "has a part in. Compared are square matrices, and first gradients whose zeros are exact."
)

UNSTABLE = (
    "Its step divides by the square of a norm of the gradient, and where that is small on noisy "
    "losses it throws the weights far off: both runs are fed the gradients and losses of one SGD "
    "run instead."
)

TIED = (
    "Its workers send the largest entries. In the rank-deficient case entries are equal up to "
    "sign, and which of them is larger is rounding's choice."
)

AMPLIFIED = (
    "Its step divides by the square of a dual norm, which amplifies rounding a thousandfold and "
    "more on noisy losses: both runs are fed the gradients and losses of one SGD run instead."
)

#: Rules that are not compared on `CASES`: on what instead, and why.
INSTEAD = {
    "soap": ([*SEEN, CASES[-1]], UNSEEN),
    "splus": (
        SEEN,
        UNSEEN + " In the rank-deficient case, directions stay unseen for ever, with signs that "
        "are rounding's choice.",
    ),
    "dion2": (
        CASES[:-1],
        "It takes the rows with the largest norms. In the rank-deficient case rows are equal up to "
        "sign, and which of them is larger is rounding's choice.",
    ),
    "polyak_muadam_sania": (REPLAYED, AMPLIFIED),
    "bounded_polyak_muadam_sania": ([*REPLAYED, CASES[-1]], AMPLIFIED),
    "psgd_kron": (
        CASES[:-1],
        "In the rank-deficient case its factors grow without end in directions that gradients have "
        "by rounding alone, as nothing damps them.",
    ),
    "error_feedback": (CASES[:-1], TIED),
    "ef21": (CASES[:-1], TIED),
    "ef21_sgdm": (CASES[:-1], TIED),
    "normalized_ef21": (CASES[:-1], TIED),
    "ef21_muon": (CASES[:-1], TIED),
    "polyak_sgd": (REPLAYED, UNSTABLE),
    "alr_hb": (REPLAYED, UNSTABLE),
}


def cases_of(name):
    """The cases on which the rule of that name is compared."""
    return INSTEAD[name][0] if name in INSTEAD else CASES


def run_loop(rule, case, steps=STEPS, **hyper):
    """The weights after each step of a literal loop, and where it is evaluated, if elsewhere."""
    w, state, path = case.start.clone(), {}, []
    takes = inspect.signature(rule).parameters
    for t in range(1, steps + 1):
        asked = {"ask": Ask(case, t)} if "ask" in takes else {}
        w = rule(w, case.grad(w, t), t, state, loss=case.loss(w, t), **asked, **hyper)
        path.append(torch.stack([w, state["evaluate"]]) if "evaluate" in state else w)
    return path


def run_optimizer(make, case, steps=STEPS, loss=False, evaluated=False):
    """The weights after each step of a torch optimizer, and where it is evaluated, if `evaluated`.

    `loss` passes it to `step`, and to rules that ask for more a closure.
    """
    p = torch.nn.Parameter(case.start.clone())
    optimizer, path = make([p]), []
    rule = optimizer.param_groups[0].get("rule")
    evaluated = evaluated or (rule is not None and rule.evaluate is not None)
    for t in range(1, steps + 1):
        if rule is not None and rule.asks:
            optimizer.step(
                lambda t=t: _evaluated(p, case, t), fresh=lambda t=t: _evaluated(p, case, second(t))
            )
        elif hasattr(optimizer, "second_step"):  # a public code that evaluates the loss again
            _evaluated(p, case, t)
            optimizer.step(lambda t=t: _evaluated(p, case, t))
        else:
            w = p.detach().clone()
            p.grad = case.grad(w, t).clone()
            told = {"loss": torch.tensor(case.loss(w, t), dtype=w.dtype)} if loss else {}
            optimizer.step(**told)
        path.append(_both(p, optimizer) if evaluated else p.detach().clone())
    return path


def _evaluated(p, case, t):
    p.grad = None
    value = case.value(p, t)
    value.backward(create_graph=True)
    return value


def _both(p, optimizer):
    w = p.detach().clone()
    optimizer.eval()
    x = p.detach().clone()
    optimizer.train()
    return torch.stack([w, x])


def worst(ours, theirs):
    """The largest relative distance of two paths; infinite if one is not finite."""
    distances = [float((x - y).norm() / y.norm()) for x, y in zip(ours, theirs, strict=True)]
    return max(distances) if np.isfinite(distances).all() else np.inf
