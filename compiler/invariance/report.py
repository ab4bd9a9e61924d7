"""Reports: verdicts over groups, for one rule or several, as text, HTML and LaTeX tables."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import attrs

from normdsl.compiler.invariance.degree import INCOMPATIBLE, Degree, degree
from normdsl.compiler.invariance.groups import Group
from normdsl.compiler.invariance.verdict import Verdict
from normdsl.declarations.rule import Rule
from normdsl.errors import NormdslError
from normdsl.near import did_you_mean
from normdsl.show.grid import Grid, upright
from normdsl.show.page import title


@attrs.frozen(repr=False)
class Report:
    """Verdicts of one or several declarations, in order."""

    verdicts: tuple[Verdict, ...]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)

    def __getitem__(self, key: Group | str | tuple[str, str]) -> Verdict:
        """Return the verdict for a group; of several rules, for (rule, group).

        Raises:
            NormdslError: if the report has none, or several.
        """
        rule, group = key if isinstance(key, tuple) else (None, key)
        name = group if isinstance(group, str) else group.name
        found = [
            v for v in self.verdicts if v.group.name == name and rule in (None, v.declaration.name)
        ]
        if len(found) == 1:
            return found[0]
        why = "the report has no verdict for it" if not found else "several rules have one"
        raise NormdslError(
            f"look up the group {name!r}",
            why=why,
            hint=did_you_mean(
                name, dict.fromkeys(v.group.name for v in self.verdicts), "it has the groups"
            )
            + " of the rules "
            + ", ".join(d.name for d in self.declarations)
            + "; write report[rule, group]",
        )

    @property
    def declarations(self) -> list[Rule]:
        """The rules, in order."""
        return list(dict.fromkeys(v.declaration for v in self.verdicts))

    @property
    def groups(self) -> list[Group]:
        """The groups, in order."""
        return list(dict.fromkeys(v.group for v in self.verdicts))

    @cached_property
    def degrees(self) -> list[Degree]:
        """The degrees of the steps in the loss, where they have one."""
        return [d for d in map(degree, self.declarations) if d is not None]

    @property
    def notes(self) -> list[str]:
        """Where runs are not finite, the degrees of the steps, and what follows from them."""
        names = [g.name for g in self.groups]
        if not {"loss_scale", "uniform_scale"} <= set(names):
            return self.remarks
        listed = self.degrees
        told = [f"The step of {d.declaration.name} has {d}." for d in listed]
        return self.remarks + told + [INCOMPATIBLE] * any(d.gradient_only for d in listed)

    @property
    def remarks(self) -> list[str]:
        """Where the rules' own runs are not finite."""
        told = (f"Of {v.declaration.name}, {note}." for v in self.verdicts for note in v.notes)
        return list(dict.fromkeys(told))

    def table(self) -> list[list[str]]:
        """Return the cells: a row per verdict of one rule, or a row per group of several."""
        grid = self.grid()
        return [list(grid.head), *map(list, grid.rows)]

    def grid(self) -> Grid:
        """Return the table."""
        tones = {v.answer: v.status.tone for v in self.verdicts}
        tips = {g.name: g.formula for g in self.groups}
        shown: dict[str, Any] = {"notes": self.notes, "tones": tones, "tips": tips}
        if len(self.declarations) == 1:
            rows = [[v.group.name, v.answer, v.because] for v in self.verdicts]
            name = self.declarations[0].name
            return Grid(["group", "verdict", "because"], rows, title=name, **shown)
        cells = {(v.declaration, v.group): v.answer for v in self.verdicts}
        rows = [[g.name, *(cells.get((d, g), "") for d in self.declarations)] for g in self.groups]
        return Grid(["group", *(d.name for d in self.declarations)], rows, **shown)

    def __str__(self) -> str:
        grid = self.grid()
        return grid.text(head=not grid.title)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        grid = self.grid()
        return (title(grid.title) if grid.title else "") + grid.html()

    def _repr_latex_(self) -> str:
        grid = self.grid()
        if grid.title:  # reasons are too long for a formula
            grid = attrs.evolve(grid, head=grid.head[:2], rows=[row[:2] for row in grid.rows])
        told = "".join("\n\n" + "$$" + upright(remark) + "$$" for remark in self.remarks)
        return grid.array() + told
