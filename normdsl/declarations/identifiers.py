"""Which texts are names: they stand in formulas, in parameter groups, and in code that is run."""

from __future__ import annotations

import keyword
import unicodedata

#: Names with a meaning of their own in formulas and in optimizer states.
FORMULAS = frozenset({"W", "G", "t", "loss", "step", "refresh_offset", "init", "torch"})
#: Names that emitted code uses besides.
CODE = FORMULAS | {
    "rows",
    "cols",
    "batch",
    "max",
    "layers",
    "own",
    "workers",
    "alone",
    "stream",
    "places",
}


def is_name(text: object) -> bool:
    """Return whether a text is an identifier that Python reads as it is written.

    Python reads identifiers in their NFKC form, so that a fullwidth `ｔorch` would be `torch`;
    letters with no other form, such as β, are themselves. Names like `__debug__` are Python's own.
    """
    return (
        isinstance(text, str)
        and text.isidentifier()
        and not keyword.iskeyword(text)
        and not (text.startswith("__") and text.endswith("__"))
        and unicodedata.normalize("NFKC", text) == text
    )
