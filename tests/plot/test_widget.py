"""The ball to drag: what the browser computes is what norms say, and a page has a picture."""

import builtins
import json
import shutil
import subprocess

import pytest
import torch

import normdsl as nd
from normdsl.plot import widget
from normdsl.show.colours import FIRST, SECOND

CASES = [(1.0, 1.0, 0.0, 30.0), (3.0, 1.5, 30.0, 40.0), (float("inf"), 2.0, -20.0, 100.0)]
PROGRAM = """
const { computed } = await import(process.argv[1]);
const cases = JSON.parse(process.argv[2]);
console.log(JSON.stringify(cases.map((values) => computed(values, 9))));
"""


def column(points):
    return torch.as_tensor(points, dtype=torch.float64)[..., None]


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript outside a browser here")
def test_the_browser_computes_the_norm_its_dual_and_its_lmo():
    names = ("share", "stretch", "angle", "gradient")
    cases = [dict(zip(names, (1 / p, *rest), strict=True)) for p, *rest in CASES]
    command = ["node", "--input-type=module", "-e", PROGRAM, str(widget.MODULE), json.dumps(cases)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for (p, stretch, angle, _), answer in zip(CASES, found, strict=True):
        norm, t = nd.entrywise(p), widget.weights(stretch, angle)
        back = torch.linalg.inv(t)
        ones = torch.ones(9, dtype=torch.float64)
        torch.testing.assert_close(norm.value(t @ column(answer["ball"])), ones)
        torch.testing.assert_close(norm.dual(back @ column(answer["dual"])), ones)
        m = column(answer["m"])
        torch.testing.assert_close(column(answer["step"]), back @ norm.lmo(back @ m))
        assert answer["gain"] == pytest.approx(-float(norm.dual(back @ m)))


def test_the_widget_has_the_values_and_a_picture_for_pages():
    found = nd.plot.ball_widget(p=4, stretch=1.5, angle=20)
    assert (found.share, found.stretch, found.angle) == (0.25, 1.5, 20.0)
    assert found.colours == [FIRST, SECOND]
    data, _ = found._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "export default { render }" in found._esm


def test_the_still_picture_shows_the_gradient_that_was_given():
    axes = widget.picture(float("inf"), 1.0, 0.0, 30.0).axes[0]
    (point,) = [x for x in axes.lines if x.get_label() == "lmo(M)"]
    assert point.get_xydata().tolist() == [[-1.0, -1.0]]


def test_without_anywidget_it_warns_and_stands_still(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "anywidget":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    widget._widget.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.warns(nd.NormdslWarning, match="anywidget is not installed"):
        found = nd.plot.ball_widget()
    widget._widget.cache_clear()
    assert found.axes


@pytest.mark.parametrize("wrong", [{"p": 0.5}, {"stretch": 3.0}, {"angle": float("nan")}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(nd.DeclarationError, match="is a number from"):
        nd.plot.ball_widget(**wrong)
