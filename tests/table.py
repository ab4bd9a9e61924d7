"""Write docs/table.md, .html and .tex: Table 1 of arXiv:2510.10777, computed. `make table`."""

from pathlib import Path

from normdsl.cli.table_one import table_one
from normdsl.compiler.comparison.table import Comparison

DOCS = Path(__file__).resolve().parent.parent / "docs"
TITLE = "The methods of arXiv:2510.10777, and beyond"
HEAD = f"""# {TITLE}

Made by `make table` from the declarations in `algorithms/`: base norms and preconditioners are
read off, degrees and verdicts are decided. `normdsl table` prints it. Hyper-parameters in
conditions go by their names in the declarations.

"""
STYLE = "body{font:14px sans-serif} td,th{padding:2px 8px} table{margin-bottom:1em}"


def written(found: Comparison) -> dict[str, str]:
    """Return the contents of the files, by name."""
    page = f"<!doctype html><meta charset='utf-8'><title>{TITLE}</title><style>{STYLE}</style>"
    return {
        "table.md": HEAD + found.markdown(),
        "table.html": f"{page}<h1>{TITLE}</h1>{found.html()}\n",
        "table.tex": found.latex(),
    }


if __name__ == "__main__":
    for name, content in written(table_one()).items():
        (DOCS / name).write_text(content)
        print(f"wrote docs/{name}")
