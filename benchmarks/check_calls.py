"""How many calls of normdsl's own functions one check makes, without a witness: a count, no time.

The functions that attrs generates, and those of libraries, are left out.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import normdsl.algorithms as algorithms
from normdsl.declaration import Declaration

ROOT = Path(algorithms.__file__).resolve().parent.parent
FOLDERS = tuple(str(ROOT / name) for name in ("normdsl", "compiler", "algorithms"))


def calls(rule: Declaration, group: str) -> Counter[str]:
    """Return the number of calls per function, once everything is imported."""
    algorithms.sgd.check("orthogonal", witnesses=False)
    found: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and str(Path(file).resolve()).startswith(FOLDERS):
            found[f"{Path(file).name}:{frame.f_code.co_name}"] += 1

    sys.setprofile(count)
    try:
        rule.check(group, witnesses=False)
    finally:
        sys.setprofile(None)
    return found


if __name__ == "__main__":
    found = calls(algorithms.adamw, "scale")
    print(f"check(scale) of adamw without a witness: {found.total():,} calls")
    for name, number in found.most_common(15):
        print(f"{number:>7,}  {name}")
