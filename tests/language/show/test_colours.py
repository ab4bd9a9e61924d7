"""One palette: its tones differ, and no other file writes a colour."""

import ast
import re
from pathlib import Path

from rich.style import Style

from normdsl.show import colours
from normdsl.show.colours import Tone

ROOT = Path(__file__).resolve().parents[3]
_NAMES = "red|green|yellow|blue|magenta|cyan|white|black|gr[ae]y"
#: A hexadecimal colour, a terminal style, or markup of one.
COLOUR = re.compile(rf"#[0-9a-fA-F]{{6}}|((bold|dim|bright) )*({_NAMES})|.*\[(\w+ )*({_NAMES})\].*")


def literals(path):
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def test_tones_differ_on_pages_and_on_terminals():
    assert len({tone.page for tone in Tone}) == len(Tone)
    assert len({Style.parse(tone.terminal) for tone in Tone}) == len(Tone)


def test_only_the_palette_writes_colours():
    palette = Path(colours.__file__).resolve()
    files = {p for d in ("normdsl", "compiler", "algorithms") for p in (ROOT / d).rglob("*.py")}
    found = {p.name: c for p in files for c in literals(p) if COLOUR.fullmatch(c)}
    assert set(found) == {palette.name}, found
