"""Capturing the moments of layers by hooks, as they run forward and backward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from normdsl.compiler.batches.ambient import as_scheduled
from normdsl.errors import GradientError, HyperparameterError
from normdsl.show.page import Shown


@attrs.define(eq=False)
class Sums:
    """What was seen of one layer since its moments were last used.

    Args:
        inputs: Σ x xᵀ. outputs: Σ g gᵀ, with g as the backward pass delivers it.
        terms: how many terms of the loss that was. rows: how many rows x and g.
    """

    inputs: Tensor
    outputs: Tensor
    terms: int
    rows: int

    def add(self, other: Sums) -> None:
        """Add what was seen by another pass."""
        self.inputs = self.inputs + other.inputs
        self.outputs = self.outputs + other.outputs
        self.terms += other.terms
        self.rows += other.rows


class Capture(Shown):
    """Records second moments of `Linear` and `Conv2d` layers for rules that read them.

    Of a layer y = W x it keeps, for `nd.input_moment` and `nd.output_moment`,

        E[x xᵀ] = 1/N Σ x xᵀ        E[g gᵀ] = 1/M Σ ĝ ĝᵀ

    over all rows since the last step: N terms of the loss, M rows, and ĝ the gradient of one
    term's own loss, which is N g for a mean of N terms (g is what backward delivers) and g for a
    sum. The rows of `Linear` are all its leading axes, each row a term, so that M = N. The rows of
    `Conv2d` are its patches, of in·kh·kw entries; those of one image belong to one term, so that
    inputs are summed and gradients averaged over positions (Grosse and Martens, 2016,
    arXiv:1602.01057, eqs. for Ω and Γ). Several passes, and several uses of one weight, add up: a
    second use counts as further terms. Biases are not appended to x.

    Recorded is what takes part in a backward pass of a layer whose weight needs a gradient. A step
    uses the moments up; a refused step leaves them, as it leaves gradients. Under data parallelism
    they are those of the local batch, which a step averages over `replicas=`; a loss scaled for
    half precision scales E[g gᵀ] by its square.

    Args:
        layers: modules, searched for `Linear` and `Conv2d`.
        reduction: `"mean"` or `"sum"`, how the loss joins its terms.

    Raises:
        HyperparameterError: for an unknown reduction.
        GradientError: for modules without such layers, or a grouped convolution.
    """

    def __init__(self, layers: Iterable[nn.Module], reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise HyperparameterError(
                f"capture with reduction={reduction!r}",
                why="it says how the loss joins its terms",
                hint='use "mean" or "sum"',
            )
        found = {m: None for layer in layers for m in layer.modules() if _is_captured(m)}
        _require_layers(found)
        self.reduction = reduction
        self._sums: dict[Tensor, Sums] = {}
        self._recording = True
        self._handles = [m.register_forward_hook(self._watch, with_kwargs=True) for m in found]

    def __str__(self) -> str:
        kept = f"moments of {len(self._sums)} weights since they were last forgotten"
        return f"a capture of {len(self._handles)} layers, {self.reduction} loss; {kept}"

    def moments(self, weight: Tensor) -> dict[str, Tensor] | None:
        """Return the moments of the layer of a weight, by name; None if nothing was recorded."""
        sums = self._sums.get(weight)
        if sums is None:
            return None
        # For a mean of N terms, backward delivers gradients of the terms divided by N.
        scale = sums.terms**2 if self.reduction == "mean" else 1
        return {
            "input_moment": sums.inputs / sums.terms,
            "output_moment": sums.outputs * (scale / sums.rows),
        }

    def clear(self, weights: Iterable[Tensor] | None = None) -> None:
        """Forget what was recorded, of some weights or of all."""
        for weight in list(self._sums) if weights is None else weights:
            self._sums.pop(weight, None)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out backward passes inside, such as one for G after one with sampled targets."""
        before, self._recording = self._recording, False
        try:
            yield
        finally:
            self._recording = before

    def remove(self) -> None:
        """Remove the hooks, and forget what was recorded."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._recording = [], False
        self.clear()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _watch(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> None:
        """After a forward pass: record its input once the gradient at its output is known.

        The hook lives as long as the graph does, and holds the input without its history.
        """
        weight = module.weight
        if isinstance(weight, nn.Parameter) and weight.requires_grad and output.requires_grad:
            x = (args[0] if args else kwargs["input"]).detach()
            output.register_hook(  # type: ignore[no-untyped-call]
                lambda g: self._record(module, weight, x, g)
            )

    @torch.no_grad()
    @as_scheduled
    def _record(self, module: nn.Module, weight: Tensor, x: Tensor, g: Tensor) -> None:
        if not self._recording:
            return
        dtype = torch.promote_types(weight.dtype, torch.float32)
        seen = _rows(module, x.to(dtype), g.detach().to(dtype))
        if weight in self._sums:
            self._sums[weight].add(seen)
        else:
            self._sums[weight] = seen


def capture(*layers: nn.Module, reduction: str = "mean") -> Capture:
    """Record the second moments of layers, which rules such as K-FAC read.

    Every `Linear` and `Conv2d` in the given modules is captured; see `Capture`.

    Args:
        layers: a model, or some of its layers. reduction: `"mean"` or `"sum"`, of the loss.

    Example:
        >>> import normdsl as nd
        >>> import torch
        >>> layer = torch.nn.Linear(2, 1, bias=False)
        >>> seen = nd.capture(layer)
        >>> layer(torch.tensor([[1.0, 2.0]])).sum().backward()
        >>> seen.moments(layer.weight)["input_moment"]
        tensor([[1., 2.],
                [2., 4.]])
    """
    return Capture(layers, reduction)


def _is_captured(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def _require_layers(found: Iterable[nn.Module]) -> None:
    modules = list(found)
    grouped = [m for m in modules if isinstance(m, nn.Conv2d) and m.groups != 1]
    if grouped:
        raise GradientError(
            f"capture the moments of {grouped[0]}",
            why="each group of a grouped convolution multiplies its own channels, so that it is "
            "not a single matrix",
            hint="pass the other layers, nd.capture(model.conv1, model.fc, …), and give this one "
            "to another rule",
        )
    if not modules:
        raise GradientError(
            "capture the moments of no layer",
            why="the modules have neither a Linear nor a Conv2d",
            hint="pass the model: nd.capture(model)",
        )


def _rows(module: nn.Module, x: Tensor, g: Tensor) -> Sums:
    """Return the sums over the rows of one pass."""
    if isinstance(module, nn.Conv2d):
        x, g = (v if v.ndim == 4 else v.unsqueeze(0) for v in (x, g))
        terms = x.shape[0]
        x, g = patches(module, x).mT.flatten(0, 1), g.flatten(2).mT.flatten(0, 1)
    else:
        x, g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        terms = x.shape[0]
    return Sums(x.mT @ x, g.mT @ g, terms, g.shape[0])


def patches(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return the patches that a convolution multiplies by its weight: batch × in·kh·kw × places."""
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    padded = functional.pad(x, conv._reversed_padding_repeated_twice, mode=mode)
    return functional.unfold(padded, conv.kernel_size, conv.dilation, 0, conv.stride)
