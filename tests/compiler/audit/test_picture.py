"""The picture is saved, of any audit, and leaves matplotlib's state alone."""

import functools

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from specimens import CorruptsState, OnlyFloat32

import normdsl as nd
from normdsl.compiler.audit.picture import draw


@functools.cache
def audited(factory):
    return nd.audit(factory, steps=2, seeds=1)


@pytest.mark.parametrize("factory", [CorruptsState, OnlyFloat32])
def test_a_png_is_saved(factory, tmp_path):
    audit = audited(factory)
    backend, settings = mpl.get_backend(), dict(mpl.rcParams)
    audit.save(tmp_path / "audit.png")
    assert (tmp_path / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert mpl.get_backend() == backend
    assert dict(mpl.rcParams) == settings


def test_the_picture_has_a_panel_per_group_and_names_defects(monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    audit = audited(CorruptsState)
    draw(audit, "audit.png")
    texts = {t.get_text() for ax in figures[0].get_axes() for t in [ax.title, *ax.texts]}
    assert all(
        any(t.startswith(f"{f.probe}\n") for t in texts)
        for f in audit
        if f.kind.value == "reparametrisation"
    )
    assert f"{len(audit.complaints)} defects" in texts
