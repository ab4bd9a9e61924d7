"""The report of a study: one HTML file, with its pictures inside, for light and dark screens."""

from __future__ import annotations

import html
import io
import platform
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from normdsl.cache import write as write_whole
from normdsl.compiler.invariance.status import Status
from normdsl.exploring.about import About
from normdsl.exploring.clock import in_words
from normdsl.exploring.pictures import pareto, screened, table
from normdsl.show.grid import Grid
from normdsl.version import __version__

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --page: #ffffff; --line: #d0d7de; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --page: #111418; --line: #3d444d; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.85rem; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
pre { overflow-x: auto; padding: 0.6rem 0.8rem; border: 1px solid var(--line); font-size: 0.85rem; }
.wide > svg { width: 100%; height: auto; }
summary { cursor: pointer; } small { opacity: 0.75; }
"""
#: How many designs are shown as formulas.
_SHOWN = 3
_PARTS = ("norm", "preconditioner", "momentum", "step")


def write(frame: Any, about: About, summary: Sequence[str], path: Path) -> Path:
    """Write the report of a study; return its path.

    Args:
        frame: its table. about: what else is known. summary: sentences. path: of the file.
    """
    groups = about.columns
    final = frame[frame["fate"] == "finalist"]
    parts = [
        f"<h1>{len(frame)} designs, explored in {in_words(about.spent)}</h1>",
        f"<p><small>{html.escape(_made(about))}</small></p>",
        "<h2>How sure it is</h2>",
        "<ul>",
        *(f"<li>{html.escape(line)}</li>" for line in summary),
        "</ul>",
        "<h2>Finalists</h2>",
        _wide(finalists(frame, groups).html()) if len(final) else "<p>There are none.</p>",
        *_rules(about, list(final.index) or list(frame.index[frame["rung"] > 0])),
    ]
    if frame["first"].notna().any():
        parts += [
            "<h2>Loss and cost</h2>",
            _picture(pareto(frame)),
            _picture(screened(frame)) if len(final) else "",
            "<h2>Norm × preconditioner</h2>",
            "<p>The best momentum and step of each pair after the first round, in which all "
            "designs had the same steps and number of rates.</p>",
            _picture(table(frame), narrowest=76),
        ]
    parts += [
        "<h2>What became of the others</h2>",
        _wide(fates(frame).html()),
        "<h2>All designs</h2>",
        f"<details><summary>{len(frame)} rows</summary>{_wide(_all(frame, groups).html())}"
        "</details>",
    ]
    body = "\n".join(parts)
    title = f"{len(frame)} designs on {about.task}"
    write_whole(path, _PAGE.format(title=html.escape(title), style=_STYLE, body=body))
    return path


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body>
{body}
</body></html>
"""


def _made(about: About) -> str:
    asked = ", ".join(about.require) or "nothing"
    return (
        f"normdsl {__version__}, torch {version('torch')}, Python {platform.python_version()}, "
        f"{platform.machine()}, {time.strftime('%Y-%m-%d')}. Task: {about.task}. Required: {asked}."
    )


def finalists(frame: Any, groups: Sequence[str]) -> Grid:
    """Return the table of the finalists, the best first, with the verdicts of groups."""
    final = frame[frame["fate"] == "finalist"]
    head = ("", *_PARTS, "loss", "std", "seeds", "accuracy", "lr", "cost", "state", *groups)
    rows = [
        [
            str(place),
            *(str(row[c]) for c in _PARTS),
            *(_number(row[c]) for c in ("loss", "std")),
            str(row["seeds"]),
            f"{row['accuracy']:.1%}",
            *(_number(row[c]) for c in ("lr", "cost", "state")),
            *(str(row[g]) for g in groups),
        ]
        for place, (_, row) in enumerate(final.iterrows(), 1)
    ]
    return Grid(head, rows, tones=_tones(frame, groups))


def fates(frame: Any) -> Grid:
    """Return how many designs had each fate, with the reasons that occur most."""
    rows = []
    for fate, group in frame[frame["fate"] != "finalist"].groupby("fate", sort=False):
        reasons = group["why"].str.replace(r"^\d+ of \d+ ", "", regex=True).str.slice(0, 110)
        for why, count in reasons.value_counts().head(4).items():
            rows.append([str(fate), str(count), str(why)])
    return Grid(("fate", "designs", "why"), rows)


def _all(frame: Any, groups: Sequence[str]) -> Grid:
    head = ("design", "fate", "rung", "loss", "first", "lr", "cost", *groups)
    rows = [
        [
            str(name),
            str(row["fate"]),
            str(row["rung"]),
            *(_number(row[c]) for c in ("loss", "first", "lr", "cost")),
            *(str(row[g]) for g in groups),
        ]
        for name, row in frame.iterrows()
    ]
    return Grid(head, rows)


def _tones(frame: Any, groups: Iterable[str]) -> dict[str, Any]:
    """Return the colours of answers, by their text."""
    found = {}
    for answer in {str(x) for g in groups for x in frame[g].unique()}:
        for status in Status:
            if answer == status.value:
                found[answer] = status.tone
        if answer.startswith(Status.CONDITIONAL.value):
            found[answer] = Status.CONDITIONAL.tone
    return found


def _rules(about: About, names: Sequence[str]) -> list[str]:
    told = (str(about.rules[name]) for name in names[:_SHOWN])
    return [f"<pre>{html.escape(text)}</pre>" for text in told]


def _number(x: float) -> str:
    return "" if x != x else f"{x:.3g}"


def _wide(inside: str) -> str:
    return f'<div class="wide">{inside}</div>'


def _picture(figure: Any, narrowest: int = 40) -> str:
    """Return a figure as SVG, to stand in a page; it scrolls where that is narrower, in rem."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True)
    text = file.getvalue()
    drawn = text[text.index("<svg") :].replace("<svg", f'<svg style="min-width:{narrowest}rem"', 1)
    return _wide(drawn)
