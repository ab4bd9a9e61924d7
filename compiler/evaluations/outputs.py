"""Outputs: what a model puts out, marked where the loss is computed.

So a derivative of the loss can be told from one of the outputs, as the Gauss-Newton matrix asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

from normdsl.errors import GradientError

_handler: ContextVar[Callable[[Tensor], Tensor] | None] = ContextVar("handler", default=None)


def outputs(z: Tensor) -> Tensor:
    """Return z, and note that it is what the model puts out, for `nd.gauss_newton_product`.

    What follows it in the closure is the loss as a function of z. A model with several outputs has
    each of them marked.

    Args:
        z: the outputs of the model on the batch, of any shape.

    Example:
        >>> import torch
        >>> import normdsl as nd
        >>> model, x, y = torch.nn.Linear(3, 2), torch.ones(5, 3), torch.zeros(5, 2)
        >>> rule = nd.optimizer(lambda lr=0.1: nd.W - lr * nd.gauss_newton_product(nd.G))
        >>> opt = rule(model.parameters())
        >>> def closure():
        ...     opt.zero_grad()
        ...     loss = (nd.outputs(model(x)) - y).square().mean()
        ...     loss.backward(create_graph=True)
        ...     return loss
        >>> opt.step(closure).shape
        torch.Size([])
    """
    handler = _handler.get()
    return z if handler is None else handler(z)


@contextmanager
def noted() -> Iterator[list[Tensor]]:
    """Note what is marked, in order, as long as this lasts."""
    found: list[Tensor] = []

    def note(z: Tensor) -> Tensor:
        found.append(z)
        return z

    with _handled(note):
        yield found


@contextmanager
def replaced(values: Sequence[Tensor]) -> Iterator[None]:
    """Put values in the place of what is marked, in order."""
    rest = iter(values)
    with _handled(lambda z: next(rest)):
        yield


@contextmanager
def _handled(handler: Callable[[Tensor], Tensor]) -> Iterator[None]:
    token = _handler.set(handler)
    try:
        yield
    finally:
        _handler.reset(token)


def missing_outputs(asked: str) -> GradientError:
    """Return the error for a product with the Gauss-Newton matrix of outputs that are not known."""
    return GradientError(
        asked,
        why="the rule asks for a product with the Gauss-Newton matrix, and where the loss is "
        "computed nothing says what the model puts out; nothing was changed",
        hint="write z = nd.outputs(model(x)) there, and compute the loss from z",
    )
