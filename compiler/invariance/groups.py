"""Groups of reparametrisations, each one declaration: how W moves, how an element is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from normdsl.compiler.invariance.group import Action as Action
from normdsl.compiler.invariance.group import Group as Group
from normdsl.compiler.invariance.group import on_spaces as on_spaces
from normdsl.errors import NormdslError, kind, shown
from normdsl.expressions.ports import Port
from normdsl.near import did_you_mean, module_face

_A, _B = Action.invertible("A"), Action.invertible("B")
_P, _Q = Action.orthogonal("P"), Action.orthogonal("Q")

affine = Group("affine", "W = A W̃ B with A, B invertible", rows=_A, cols=_B)
left_affine = Group("left_affine", "W = A W̃ with A invertible", rows=_A)
right_affine = Group("right_affine", "W = W̃ B with B invertible", cols=_B)
orthogonal = Group("orthogonal", "W = P W̃ Q with P, Q orthogonal", rows=_P, cols=_Q)
left_orthogonal = Group("left_orthogonal", "W = P W̃ with P orthogonal", rows=_P)
right_orthogonal = Group("right_orthogonal", "W = W̃ Q with Q orthogonal", cols=_Q)
scale = Group("scale", "W = S ∘ W̃ with every S_ij > 0", entries=Action.positive("S"))
row_column_scale = Group(
    "row_column_scale",
    "W = D W̃ E with D, E diagonal and positive",
    rows=Action.positive("D"),
    cols=Action.positive("E"),
)
sign_flips = Group("sign_flips", "W = S ∘ W̃ with every S_ij = ±1", entries=Action.signs("S"))
signed_permutations = Group(
    "signed_permutations",
    "W = P W̃ Q with P, Q permutations with signs",
    rows=Action.signed_permutation("P"),
    cols=Action.signed_permutation("Q"),
)
permutations = Group(
    "permutations",
    "W = W̃ with all its entries permuted",
    entries=Action.permutation("Π"),
)
#: In a rule over layers, all of them have the same c.
uniform_scale = Group("uniform_scale", "W = c W̃ with c > 0", weight_unit=1)
loss_scale = Group("loss_scale", "f = c f̃ with c > 0", loss_unit=1)
loss_transform = Group(
    "loss_transform", "f = φ(f̃), another increasing φ at each step", loss_unit=1, each_step=True
)
translation = Group("translation", "W = W̃ + T with T constant", shift=True)
transpose = Group("transpose", "W = W̃ᵀ", swap=True)
_WITH = "a space shared by parameters: its vectors by M, its forms by M⁻ᵀ, M"
gauge = Group("gauge", f"{_WITH} invertible", inner=Action.invertible("M"))
orthogonal_gauge = Group("orthogonal_gauge", f"{_WITH} orthogonal", inner=Action.orthogonal("M"))
scale_gauge = Group("scale_gauge", f"{_WITH} diagonal and positive", inner=Action.positive("M"))
permutation_gauge = Group(
    "permutation_gauge",
    f"{_WITH} a permutation with signs",
    inner=Action.signed_permutation("M"),
)

#: Every group of one matrix, in the order of reports.
ALL = (
    affine,
    left_affine,
    right_affine,
    orthogonal,
    left_orthogonal,
    right_orthogonal,
    scale,
    row_column_scale,
    sign_flips,
    signed_permutations,
    permutations,
    uniform_scale,
    loss_scale,
    loss_transform,
    translation,
    transpose,
)
#: The groups of parameters that share spaces.
GAUGES = (gauge, orthogonal_gauge, scale_gauge, permutation_gauge)
_EVERY = (*GAUGES, *ALL)
_NAMES = tuple(group.name for group in (*ALL, *GAUGES))

if not TYPE_CHECKING:  # a type checker refuses unknown names by itself
    __getattr__, __dir__ = module_face("nd.groups", _NAMES, ("ALL", "Group", "named"))


def named(name: Group | str) -> Group:
    """Return the group called `name`, or a group as it is.

    Raises:
        NormdslError: if there is none.
    """
    if isinstance(name, Group):
        return name
    for group in _EVERY:
        if group.name == name:
            return group
    raise NormdslError(
        f"check the group {shown(name)}",
        why="there is no group of that name"
        if isinstance(name, str)
        else f"{kind(name)} is not a group",
        hint=did_you_mean(name, _NAMES, "the groups are"),
    )


def several(
    names: Group | str | Iterable[Group | str] | None, ports: tuple[Port, ...] = ()
) -> tuple[Group, ...]:
    """Return the groups of a list, or of a text with commas, each once; all of them for None.

    Args:
        names: the groups. ports: the parameters of the rule, if it has several.

    Raises:
        NormdslError: for a list that is empty, or of what are no groups.
    """
    if names is None:
        return tuple(group for group in _EVERY if group.acts_on(ports))
    names = [x.strip() for x in names.split(",")] if isinstance(names, str) else names
    listed = list(names) if isinstance(names, Iterable) else [names]
    if not listed:
        raise NormdslError(
            "check no group at all",
            why="a report is over one group or more",
            hint='pass some, as in rule.check(["affine", "scale"]), or leave them out for all',
        )
    return tuple(dict.fromkeys(map(named, listed)))


def require_acting(group: Group, rule: str, ports: tuple[Port, ...]) -> None:
    """Refuse a group that does nothing to the parameters of a rule.

    Raises:
        NormdslError: with what the group acts on.
    """
    if group.acts_on(ports):
        return
    names = " and ".join(port.name for port in ports)
    raise NormdslError(
        f"check {group} of {rule}",
        why=f"it does not act on {names}: {group.formula}"
        if names
        else f"the rule has one matrix W, and no space that parameters share: {group.formula}",
        hint='declare the parameters: A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"); or check one '
        "of nd.groups.ALL",
    )
