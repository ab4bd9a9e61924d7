"""The tables of docs/reliability.md: each fault that is provoked, and what came of it.

python tests/reliability.py --out docs/reliability.md
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import re
from collections.abc import Iterator

import torch
from failures import checkpoints, gradients, scales, texts
from failures.subject import RULES

DTYPES = (torch.float32, torch.bfloat16)
HEAD = """# Reliability: what faults do

Made by `make reliability`; everything is measured, by `tests/failures/`, which provokes the faults.
*Refused* is a `GradientError`, or a `SerializationError` for what is loaded: weights, states and
step counts are bit for bit what they were, and the optimizer goes on as if it had not been asked.
*CHANGED* or *NOT FINITE* would be something else; a test sees to it that neither occurs.

What is promised: a gradient, loss, moment or weight that is NaN or infinite changes nothing, and
neither does a very large gradient (above the largest number to the power 3/8, 3e14 in float32), nor
a division by zero in a rule that divides. Of an ordinary gradient, steps are written in place,
without a second copy of weights and states; if a result overflows then, the error says so after it
was written. `judged=True` judges every result first, at up to twice the time, and promises that
nothing was written then either. With `nonfinite="skip"` torch's operations never write what is not
finite; native code writes such an overflow, and its parameter then takes no further step until its
weights are set anew (with `judged=True` it is not written). What the loss answers at other points
is judged as the gradient is. Two limits: weights are judged where their version says that others
wrote them, which a write through `p.data` does not change; and a factorisation that fails for
finite, ordinary values stops a step that other layers have taken.
"""
GRADIENTS = """## One step

One of three parameters is struck, after three ordinary steps or at the first one. Where
`nonfinite="raise"` and `"skip"` differ, both are given, in this order. *Skipped*: the struck
parameter, its state and its step count are what they were, and the others took, bit for bit, the
step they take beside one without a gradient; *all skipped*: so were the others, since the rule
joins all layers in one step. *Moves*: a finite step to finite states; *stands*: the weights, in
their dtype, are the same after it. —: the rule does not read what is struck.
"""
SCALES = f"""## Gradients of extreme scales

Three steps from weights 0 on gradients times a scale, beside the same in float64: the relative
distance of the weights. *Right*: below 1e-3 in float32, below 2^-6 in bfloat16, whose weights have
8 bits. *Lost*: squares of gradients underflow, and float32 takes no step, or another one, where
float64 moves. The rules of LMOs alone square relative sizes only:
{"; ".join(scales.SCALE_FREE)}.
"""
CHECKPOINTS = f"""## Saved states

The state of an optimizer that has taken three steps, changed in one place, is loaded into one that
has taken one. Tried with {", ".join(checkpoints.NAMES)}.
"""
FILES = """## Files

A process is killed while it writes a checkpoint. To save so that the old one stays, write beside
it, then `os.replace`.
"""
TEXTS = f"""## Declarations from texts

`nd.from_json`, then lowering to torch code: refused, or done within {texts.LONGEST:.0f} seconds,
with nothing run.
"""
UNMET = """## Not as it should be

What the tables above have and ought not to.
"""


def table(head: list[str], rows: Iterator[list[str]]) -> str:
    marks = ["---"] * len(head)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, marks, *rows))


def step_cell(name: str, fault: gradients.Fault, dtype: torch.dtype) -> str:
    if not gradients.applies(name, fault):
        return "—"
    found = [gradients.outcome(name, fault, dtype, mode) for mode in gradients.MODES]
    return " / ".join(dict.fromkeys(found))


def step_rows(dtype: torch.dtype) -> Iterator[list[str]]:
    for fault in gradients.FAULTS:
        yield [fault.name, *(step_cell(name, fault, dtype) for name in RULES)]


def scale_rows(dtype: torch.dtype) -> Iterator[list[str]]:
    for name in scales.NAMES:
        yield [f"`{name}`", *(str(scales.run(name, s, dtype)) for s in scales.SCALES)]


def checkpoint_rows() -> Iterator[list[str]]:
    for fault in checkpoints.CORRUPTIONS:
        found = {name: checkpoints.outcome(name, fault) for name in checkpoints.NAMES}
        for result in dict.fromkeys(found.values()):
            whose = [f"`{name}`" for name, other in found.items() if other == result]
            every = len(whose) == len(found)
            yield [fault.name + ("" if every else f" ({', '.join(whose)})"), result]


def file_rows() -> Iterator[list[str]]:
    torn, whole = checkpoints.killed("adamw")[0.5]
    yield ["killed while it overwrites the file", torn]
    yield ["killed while it writes beside the file", whole]
    for name in checkpoints.OLDER:
        yield [f"the state of `{name}` by version 0.1.0", checkpoints.older(name)]


def text_rows() -> Iterator[list[str]]:
    for text in texts.TEXTS:
        yield [text.name, texts.outcome(text)]


def unmet() -> Iterator[str]:
    """Yield what came of faults, where it is not what must come of them."""
    for fault, mode in itertools.product(gradients.FAULTS, gradients.MODES):
        found: dict[str, list[str]] = {}
        for name, dtype in itertools.product(RULES, DTYPES):
            if gradients.applies(name, fault):
                result = gradients.outcome(name, fault, dtype, mode)
                if result not in gradients.expected(name, fault, mode):
                    found.setdefault(result, []).append(name)
        for result, names in found.items():
            yield f"{fault.name}, `{mode}`: {result} ({', '.join(dict.fromkeys(names))})"
    for change in checkpoints.CORRUPTIONS:
        results = {checkpoints.outcome(name, change) for name in checkpoints.NAMES}
        yield from (f"{change.name}: {r}" for r in sorted(results - {change.result}))
    for text in texts.TEXTS:
        if texts.outcome(text) != text.result:
            yield f"{text.name}: {texts.outcome(text)}"


def sections() -> Iterator[str]:
    yield HEAD
    yield GRADIENTS
    for dtype in DTYPES:
        yield table([_name(dtype), *(f"`{name}`" for name in RULES)], step_rows(dtype))
    yield SCALES
    for dtype in DTYPES:
        scaled = [f"{s:.0e}" for s in scales.SCALES]
        yield table([_name(dtype), *scaled], scale_rows(dtype))
    yield CHECKPOINTS
    yield table(["what is wrong", "what came of it"], checkpoint_rows())
    yield FILES
    yield table(["what happened", "what came of loading it"], file_rows())
    yield TEXTS
    yield table(["the text", "what came of it"], text_rows())
    yield UNMET
    yield "\n".join(f"- {line}" for line in unmet()) or "Nothing."


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def document() -> str:
    return "\n".join(f"{part.strip()}\n" for part in sections())


def without_digits(text: str) -> str:
    """Return a document without measured distances, which differ between processors."""
    return re.sub(r"(?<=: )\de-\d\d|(?<=by )\de[+-]\d\d", "…", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/reliability.md"))
    parser.parse_args().out.write_text(document())


if __name__ == "__main__":
    main()
