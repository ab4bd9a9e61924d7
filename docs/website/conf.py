"""How Sphinx makes the site: `make docs` reads the repository from its root with this.

Links between pages of the repository are links of the site as they stand. What is generated, the
pages of public names and of rules, is written into docs/api and docs/gallery before the build.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "docs"))


from normdsl.version import __version__  # noqa: E402
from website import contents, links, tables, write  # noqa: E402

project = "normdsl"
author = "The normdsl authors"
version = release = __version__
html_title = f"normdsl {release}"

extensions = ["myst_nb", "sphinx.ext.mathjax"]
root_doc = "README"
exclude_patterns = [
    ".*",
    *(f"{p.name}" for p in ROOT.iterdir() if p.is_dir() and p.name not in ("docs", "tutorials")),
    "docs/website",
]

myst_enable_extensions = ["dollarmath", "fieldlist", "attrs_inline"]
# Also `#` anchors within pages, as a forge makes them.
myst_heading_anchors = 3
# Notebooks are committed with their outputs; `make tutorials` executes them.
nb_execution_mode = "off"
# A widget is shown by the picture that it degrades to: its scripts would come from a network.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
# Types are written as in the source; not all of them are public names with a page.
nitpick_ignore_regex = [("py:class", ".*")]

html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_copyright = False
html_css_files = ["site.css"]
# One script sets formulas as vector graphics: it needs neither fonts nor a network.
_mathjax = Path(str(importlib.import_module("sphinx-mathjax-offline").__file__)).parent
mathjax_path = "tex-svg.js"
# Formulas in what cells of notebooks show as HTML are set as well.
myst_mathjax_classes = "math|text_html"
mathjax4_config = {"tex": {"inlineMath": [["\\(", "\\)"], ["$", "$"]]}}
html_static_path = ["static", str(_mathjax / "static" / "mathjax" / mathjax_path)]
python_display_short_literal_types = True
maximum_signature_line_length = 90
add_module_names = False


def first_page(app: Sphinx, _: Exception | None) -> None:
    """Let the folder of the site open on its first page."""
    if app.builder.format == "html":
        shutil.copyfile(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Write what is generated, then let every page have its place and its links."""
    write.everything(ROOT / "docs")
    app.connect("env-get-outdated", contents.outdated)
    app.connect("source-read", contents.append)
    app.connect("doctree-read", links.link)
    app.connect("doctree-read", tables.widen)
    app.connect("build-finished", first_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
