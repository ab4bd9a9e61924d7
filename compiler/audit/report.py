"""The report of an audit: verdicts to look up, a table, a notebook view, a picture."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import IO

import attrs

from normdsl.compiler.audit.findings import Finding, Kind, Status
from normdsl.compiler.audit.picture import draw
from normdsl.compiler.audit.summary import Results
from normdsl.compiler.audit.text import text
from normdsl.errors import NormdslError
from normdsl.near import did_you_mean
from normdsl.show.grid import Grid
from normdsl.show.page import paragraph, title

_SEVERITY = [Status.UNSUPPORTED, Status.HOLDS, Status.UNKNOWN, Status.ABOVE, Status.BREAKS]


@attrs.frozen(repr=False)
class Audit(Results):
    """What an audit found, to look up and to look at.

    Args:
        name: of the optimizer. findings: one verdict per probe and setting.
        untried: options that could not be flipped, each with the reason.
    """

    def __getitem__(self, probe: str) -> Finding:
        """Return the worst verdict of a probe over all settings.

        Raises:
            NormdslError: if there is no such probe.
        """
        return max(self.of(probe), key=lambda f: (_SEVERITY.index(f.status), f.factor or 0.0))

    def of(self, probe: str) -> tuple[Finding, ...]:
        """Return the verdicts of a probe in every setting.

        Raises:
            NormdslError: if there is no such probe.
        """
        found = tuple(f for f in self.findings if f.probe == probe)
        if not found:
            raise NormdslError(
                f"look up the probe {probe!r}",
                why="the audit has no verdict for it",
                hint=did_you_mean(probe, dict.fromkeys(f.probe for f in self.findings), "it has"),
            )
        return found

    def __str__(self) -> str:
        return text(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return title(f"audit of {self.name}") + self._picture() + self.grid().html()

    def _picture(self) -> str:
        """Return the picture for a page, or why there is none."""
        buffer = BytesIO()
        try:
            draw(self, buffer, dpi=72)
        except NormdslError as error:
            return paragraph(f"Without a picture: {error.why}. Try: {error.hint}.")
        data = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
        return f"<img alt='drift curves' style='max-width:100%' src='{data}'>"

    def grid(self) -> Grid:
        """Return the verdicts as one table, with the options that could not be tried below."""
        found = [s for kind in Kind for s in self.part(kind)]
        rows = [(s.worst.probe, s.settings, s.worst.answer, s.worst.why) for s in found]
        tones = {s.worst.answer: s.worst.status.tone for s in found}
        untried = [f"not tried: {option}: {why}" for option, why in self.untried]
        return Grid(("probe", "settings", "verdict", "why"), rows, notes=untried, tones=tones)

    def save(self, path: str | Path | IO[bytes]) -> None:
        """Save a picture (PNG) of the drift curves, the gradient scales and the defects.

        Raises:
            NormdslError: if matplotlib is not installed.
        """
        draw(self, path)
