"""Symbols by their names, on a console that cannot write them: β₁ as beta1, ← as <-."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from normdsl.show.symbols import GREEK

_NAMES = {symbol: name.rstrip("_") for name, symbol in reversed(GREEK.items())}
_NAMES |= {
    "−": "-", "–": "-", "—": "--", "×": "x", "·": ".", "∘": ".*", "⊗": "(x)", "±": "+-",
    "←": "<-", "→": "->", "↦": "->", "↓": "down", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~",
    "∝": "~", "∈": "in", "∞": "inf", "Σ": "sum", "∑": "sum", "√": "sqrt ", "‖": "||", "⟨": "<",
    "⟩": ">", "…": "...", "′": "'", "ℓ": "l", "Δ": "Delta", "∇": "nabla", "Λ": "Lambda",
    "Π": "prod", "Ω": "Omega", "Γ": "Gamma", "\u0303": "~", "\u0302": "_hat", "½": "1/2",
    "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅙": "1/6", "⅛": "1/8", "ᵢ": "_i", "ᐟ": "/", "ᵀ": "T",
    "“": '"', "”": '"', "‘": "'", "’": "'", "•": "*", "█": "8",
}  # fmt: skip
#: Bars of a curve by their height; frames of tables.
_NAMES |= dict(zip("▁▂▃▄▅▆▇", "1234567", strict=True))
_NAMES |= dict.fromkeys("─━═╌╴╶╸╺", "-") | dict.fromkeys("│┃║", "|")
_NAMES |= dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╞╡╪┏┓┗┛┡┩╇", "+")
_RAISED = "⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᐟᵀ"
_LOWERED = "₊₋₀₁₂₃₄₅₆₇₈₉"
_ASCII = str.maketrans(_RAISED + _LOWERED, "+-0123456789/T" + "+-0123456789")
_PIECES = re.compile(rf" {{2,}}|\n|[{_RAISED}]+|[{_LOWERED}]+|√[\w\u0300-\u036f]+|√\(|.", re.DOTALL)


def plain(text: str, encoding: str) -> str:
    """Return a text with the names of symbols that an encoding does not have in their place.

    What a name is longer than its symbol is taken from the next gap, so that columns stay columns.
    """
    if _writes(text, encoding):
        return text
    written: list[str] = []
    longer = 0
    for piece in _PIECES.findall(text):
        if piece.startswith("  "):
            gap = max(2, len(piece) - longer)
            longer -= len(piece) - gap
            written.append(" " * gap)
        elif piece == "\n":
            longer = 0
            written.append(piece)
        else:
            before = written[-1][-1:] if written else ""
            written.append(piece if _writes(piece, encoding) else _named(piece, before))
            longer += len(written[-1]) - len(piece)
    return "".join(written)


def said(text: str) -> str:
    """Return a text as the standard output can write it, to be laid out."""
    return plain(text, getattr(sys.stdout, "encoding", None) or "utf-8")


def _writes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _named(piece: str, before: str) -> str:
    """Return a symbol, or a run of raised or lowered ones, in ASCII."""
    if piece[0] in _RAISED:
        return "^" + piece.translate(_ASCII)
    if piece[0] in _LOWERED:
        return ("" if before.isalnum() else "_") + piece.translate(_ASCII)
    if piece[0] == "√" and len(piece) > 1:
        return "sqrt(" if piece == "√(" else f"sqrt({plain(piece[1:], 'ascii')})"
    if piece in _NAMES:
        return _NAMES[piece]
    simple = unicodedata.normalize("NFKD", piece).encode("ascii", "ignore").decode()
    return simple or "?"


class Plain:
    """A stream that writes symbols by their names where it cannot write them.

    Args:
        stream: what is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        self._stream.write(plain(text, self._stream.encoding))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write texts, one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def named_symbols() -> Iterator[None]:
    """Write to the standard streams by names what they cannot write, in a block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_able, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _able(stream: TextIO) -> TextIO:
    encoding = getattr(stream, "encoding", None)
    if encoding is None or _writes("".join(_NAMES), encoding):
        return stream
    return cast(TextIO, Plain(stream))
