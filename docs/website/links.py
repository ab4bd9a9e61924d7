"""Names in code spans become links to their pages: `nd.ema`, `nd.ema(G, beta)` and `adam`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.addnodes import pending_xref

from website import public

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: What a code span begins with if it speaks of a name: that name, perhaps called with something.
_NAME = re.compile(r"(nd(?:\.\w+)+)(?:\(.*\))?$", re.DOTALL)


def link(app: Sphinx, doctree: nodes.document) -> None:
    """Turn code spans that name something public into references to it."""
    known, rules = public.every_name(), public.rules()
    for span in list(doctree.findall(nodes.literal)):
        target = meant(span.astext(), known, rules)
        if target is None or isinstance(span.parent, nodes.reference | nodes.title | pending_xref):
            continue
        reference = pending_xref(
            "", refdomain="py", reftype="obj", reftarget=target, refdoc=app.env.docname
        )
        span.replace_self(reference)
        reference += span


def meant(text: str, known: set[str], rules: set[str]) -> str | None:
    """Return the public name that a code span speaks of; None if of none."""
    if text in rules:
        return f"nd.algorithms.{text}"
    found = _NAME.match(text)
    name = found[1] if found else ""
    while name and name not in known:
        name = name.rpartition(".")[0]  # nd.spectral.lmo: the page of nd.spectral
    return name or None
