"""Writing generated pages: those that changed, so that Sphinx reads no other again."""

from __future__ import annotations

from pathlib import Path

from website import api, gallery


def everything(docs: Path) -> None:
    """Write the pages of public names and of rules, and remove those of names that are gone."""
    _write(docs / "api", {f"{name}.md": text for name, text in api.pages().items()})
    _write(docs / "gallery", gallery.files())


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for gone in {p.name for p in folder.iterdir()} - set(files):
        (folder / gone).unlink()
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
