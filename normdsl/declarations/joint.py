"""What a rule over several parameters may be made of."""

from __future__ import annotations

from collections.abc import Iterable

from normdsl.declarations.identifiers import is_name
from normdsl.errors import DeclarationError
from normdsl.expressions.expr import Expr
from normdsl.expressions.nodes import Across, Draw, Joint, Query, Source, Stream, WorkersMean
from normdsl.expressions.ports import Port
from normdsl.expressions.shapes import SCALAR, Dim, Rank
from normdsl.expressions.streams import called
from normdsl.expressions.traversal import walk


def require(update: Joint, hyper: Iterable[str], asked: str) -> None:
    """Refuse what a rule over several parameters cannot have.

    Args:
        update: their new weights. hyper: its hyper-parameters. asked: what is asked, for errors.

    Raises:
        DeclarationError: for names that are taken; streams of a rule of one matrix or of other
            parameters; what layers share; further evaluations of the loss; random arrays, which
            each parameter would draw for itself; directions that are chosen by number.
    """
    names = [port.name for port in update.ports]
    _require_names(names, hyper, asked)
    for x in walk(update):
        reason = _foreign(x, update.ports)
        if reason is not None:
            raise DeclarationError(
                asked,
                at=x,
                why=f"it is over the parameters {' and '.join(names)}, and {reason}",
                hint=f"read {names[0]}.W and {names[0]}.G, and draw scalars alone",
            )


def _require_names(names: list[str], hyper: Iterable[str], asked: str) -> None:
    streams = [called(s, name) for name in names for s in (Source.WEIGHTS, Source.GRADIENT)]
    taken = {*hyper, "G", "t", "loss"}
    for name in (*names, *streams):
        if name in taken or not is_name(name):
            raise DeclarationError(
                f"{asked} over a parameter {name}",
                why="streams, hyper-parameters and parameters have names of their own; code calls "
                f"the streams of parameters {', '.join(streams)}",
                hint="rename the argument",
            )


def _foreign(x: Expr, ports: tuple[Port, ...]) -> str | None:
    """Return why a part cannot stand in a rule over several parameters; None if it can."""
    known = (Source.STEP, Source.LOSS)
    match x:
        case Stream(port=None) if x.source not in known:
            return f"{x} is that of a rule of one"
        case Stream() if x.port is not None and x.port not in ports:
            return f"{x.port.name} is none of them"
        case Query() | Across():
            return "what layers share, or the loss is elsewhere, is asked by rules of one alone"
        case WorkersMean():
            return "what workers share is averaged by rules of one alone"
        case Draw() if x.shape != SCALAR:
            return "each would draw a random array of its own"
        case _ if any(isinstance(d, Rank) for d in (x.shape.rows, x.shape.cols)):
            return "directions are chosen among the rows and columns of one"
        case _ if Dim.MN in (x.shape.rows, x.shape.cols):
            return "entries in one column are those of a rule of one"
        case _:
            return None
