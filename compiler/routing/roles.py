"""The role of every parameter of a model: hidden, embedding, head or vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import attrs
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from normdsl.compiler.layouts.flattened import flattened_by, lost
from normdsl.compiler.layouts.view import View
from normdsl.compiler.routing.head import head
from normdsl.compiler.routing.kinds import EMBEDDING, HEAD, HIDDEN, ROLES, VECTOR, Seen, seen
from normdsl.errors import GradientError
from normdsl.show.grid import Grid

#: Which role counts, of a tensor that several modules share.
_FIRST = (EMBEDDING, HEAD, HIDDEN, VECTOR)


@attrs.frozen(eq=False)
class Assignment:
    """A parameter of a model and its role.

    Args:
        name: its name. param: the parameter.
        role: `"hidden"`, `"embedding"`, `"head"` or `"vector"`.
        view: how it is seen as matrices; None for as it is.
        kind: the class of the module it belongs to.
        tied: its other names, if modules share it.
    """

    name: str
    param: Tensor
    role: str
    view: View | None
    kind: str
    tied: tuple[str, ...] = ()

    @property
    def frozen(self) -> bool:
        """Whether it takes no gradient, so that no rule applies to it."""
        return not self.param.requires_grad

    @property
    def names(self) -> tuple[str, ...]:
        """All its names."""
        return (self.name, *self.tied)


def assigned(model: nn.Module) -> list[Assignment]:
    """Return every parameter of a model once, with its role, in the model's order.

    Embeddings are `nn.Embedding` and raw parameters named after positions or tokens, such as
    `pos_embed` and `wpe`; the head is what `head` finds; vectors are biases, the parameters of
    norms, and all that has one axis longer than 1 at most; everything else is hidden. A shared
    parameter is one entry with all its names, and an embedding if one of them is. Of a parametrized
    weight, what the parametrization stores is seen as the weight would be: of a weight norm the
    direction is a matrix, the lengths are a vector.

    Raises:
        GradientError: for a parameter of a lazy module that has no shape yet, or one that a
            wrapper has flattened.
    """
    owned = list(_owned(model))
    for name, _, _, p in owned:
        if is_lazy(p):
            raise _lazy(name)
        if flattened_by(p):
            why, hint = lost(p)
            raise GradientError(f"find the role of {name}", why=why, hint=hint)
    last, uses = head(model), dict[int, list[Assignment]]()
    for name, own, module, p in owned:
        role, view = _role(module, own, p, module is last)
        found = Assignment(name, p, role, view, type(module).__name__)
        uses.setdefault(id(p), []).append(found)
    joined = [_joined(several) for several in uses.values()]
    assert [id(x.param) for x in joined] == [id(p) for p in model.parameters()]
    return joined


def roles(model: nn.Module) -> Grid:
    """Return a table of the parameters of a model: shape, role, view, module, other names.

    Raises:
        GradientError: for a parameter of a lazy module that has no shape yet, or one that a
            wrapper has flattened.

    Example:
        >>> import normdsl as nd
        >>> from torch import nn
        >>> print(nd.roles(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))))
        name      shape  role    view  module  tied to
        0.weight  4×3    hidden        Linear
        0.bias    4      vector        Linear
        1.weight  2×4    head          Linear
        1.bias    2      vector        Linear
        hidden: 1 tensor, 12 entries
        head: 1 tensor, 8 entries
        vector: 2 tensors, 6 entries
    """
    entries = assigned(model)
    rows = [
        [
            x.name,
            "×".join(map(str, x.param.shape)) or "1",
            "frozen" if x.frozen else x.role,
            str(x.view or ""),
            x.kind,
            ", ".join(x.tied),
        ]
        for x in entries
    ]
    return Grid(["name", "shape", "role", "view", "module", "tied to"], rows, notes=_notes(entries))


def _owned(model: nn.Module) -> Iterator[tuple[str, str, nn.Module, Tensor]]:
    """Return each parameter under each of its names: that, its own name, its module, itself."""
    for path, module in model.named_modules(remove_duplicate=False):
        owner, outer = module, path.rpartition(".")
        if isinstance(module, ParametrizationList):
            owner = model.get_submodule(outer[0].rpartition(".")[0])
        listed = isinstance(module, ParametrizationList | nn.ParameterList | nn.ParameterDict)
        for own, p in module.named_parameters(recurse=False, remove_duplicate=False):
            yield f"{path}.{own}".lstrip("."), outer[2] if listed else own, owner, p


def _role(module: nn.Module, own: str, p: Tensor, last: bool) -> Seen:
    role, view = seen(module, own, p)
    whole = isinstance(module, nn.Linear) and p.shape == (module.out_features, module.in_features)
    return (HEAD if last and (whole or role == HIDDEN) else role), view


def _joined(several: list[Assignment]) -> Assignment:
    """Return one entry for a parameter that may have several uses."""
    chosen = min(several, key=lambda x: _FIRST.index(x.role))
    names = [x.name for x in several]
    return attrs.evolve(chosen, name=names[0], tied=tuple(names[1:]))


def _notes(entries: list[Assignment]) -> list[str]:
    count, size = Counter[str](), Counter[str]()
    for x in entries:
        role = "frozen" if x.frozen else x.role
        count[role] += 1
        size[role] += x.param.numel()
    known = [r for r in (*ROLES, "frozen") if count[r]]
    return [f"{r}: {count[r]} tensor{'s' * (count[r] > 1)}, {size[r]:,} entries" for r in known]


def _lazy(path: str) -> GradientError:
    return GradientError(
        f"find the role of {path}",
        why="its module is lazy and has no shape yet",
        hint="run the model on a batch first",
    )
