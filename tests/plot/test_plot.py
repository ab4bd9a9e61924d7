"""Pictures: what is in their axes is what norms, rules and verdicts say."""

import builtins
import io
import math

import numpy as np
import pytest
import torch

import normdsl as nd
from normdsl import W
from normdsl.algorithms import adam, adam_sania, kfac, muadam, muon, sgd
from normdsl.plot.planes import Slice
from normdsl.show.colours import FIRST, SECOND, SERIES

D = torch.tensor([[1.0, 2.0], [0.6, 1.0]], dtype=torch.float64)
WEIGHTED = nd.preconditioned(nd.spectral, hadamard=nd.abs(W))


def line(axes, label):
    (found,) = [x for x in axes.lines if x.get_label() == label]
    return torch.as_tensor(np.array(found.get_xydata()))


def matrices(points):
    """Return the diagonal matrices of points."""
    return torch.diag_embed(points)


@pytest.mark.parametrize(
    ("norm", "given", "value", "dual"),
    [
        (nd.nuclear, {}, nd.nuclear.value, nd.spectral.value),
        (WEIGHTED, {W: D}, lambda x: nd.spectral.value(D * x), lambda x: nd.nuclear.value(x / D)),
    ],
    ids=["nuclear", "weighted"],
)
def test_the_ball_and_its_dual_are_where_the_norms_are_one(norm, given, value, dual):
    axes = norm.plot(given=given).axes[2]
    ball, around = line(axes, "unit ball ‖X‖ ≤ 1"), line(axes, "dual ball ‖M‖_* ≤ 1")
    torch.testing.assert_close(value(matrices(ball)), torch.ones(361, dtype=torch.float64))
    torch.testing.assert_close(dual(matrices(around)), torch.ones(361, dtype=torch.float64))


def test_points_are_the_lmos_of_what_lines_come_from():
    axes = nd.schatten(3).plot().axes[2]
    points = line(axes, "lmo(M)")
    gradients = -torch.stack([torch.as_tensor(x.get_xydata()[0]) for x in axes.lines[2:18]])
    found = nd.schatten(3).lmo(matrices(gradients))
    torch.testing.assert_close(matrices(points), found)
    reached = (found * matrices(gradients)).sum((1, 2))
    torch.testing.assert_close(reached, -nd.schatten(3).dual(matrices(gradients)))


def test_a_step_off_the_plane_is_hollow():
    """With a full factor L, the LMO of a row has another row."""
    L = torch.tensor([[2.0, 0.8], [0.8, 1.0]])
    norm = nd.preconditioned(nd.spectral, left=nd.matrix_power(nd.output_moment, 0.5))
    row = norm.plot(given={nd.output_moment: L}).axes[0]
    labels = [x.get_label() for x in row.lines]
    assert "its projection, if off the plane" in labels
    assert "lmo(M)" not in labels


def test_the_last_panel_has_singular_values():
    axes = nd.spectral.plot().axes[3]
    np.testing.assert_allclose(line(axes, "lmo(M)")[:, 1], 1)
    np.testing.assert_allclose(line(axes, "M")[:, 1], 0.5 ** np.arange(6))


def test_planes_of_ones_own_in_larger_matrices():
    plane = nd.plot.Plane("[x y; y x]", ((1, 0), (0, 1)), ((0, 1), (1, 0)))
    weights = torch.full((3, 4), 2.0)
    found = Slice(WEIGHTED, plane, (3, 4), {W: weights}).boundary(5)
    torch.testing.assert_close(found.norm(dim=1), torch.full((5,), 0.5, dtype=torch.float64))
    with pytest.raises(nd.ShapeError, match="neither zero"):
        nd.plot.Plane("one", ((1, 0),), ((1, 0),))
    with pytest.raises(nd.ShapeError, match="1×4 matrices"):
        Slice(nd.spectral, plane, (1, 4)).boundary()


@pytest.mark.parametrize(
    ("norms", "given", "said"),
    [
        ((), {}, "a norm and a plane are needed"),
        ((sgd,), {}, "is not a norm"),
        ((WEIGHTED,), {}, "has a value in a step"),
        ((WEIGHTED,), {W: torch.ones(2)}, "it is an m×n expression"),
    ],
)
def test_balls_that_cannot_be_drawn(norms, given, said):
    with pytest.raises(nd.NormdslError, match=said):
        nd.plot.ball(*norms, given=given)


def test_spectra_are_those_of_the_steps():
    g = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes = nd.plot.spectra(sgd, muon, nd.nuclear, gradient=g).axes[0]
    sigma = torch.linalg.svdvals(g)
    for name, wanted in (("gradient", sigma / sigma[0]), ("sgd", sigma / sigma[0])):
        torch.testing.assert_close(line(axes, name)[:, 1], wanted)
    np.testing.assert_allclose(line(axes, "muon")[:, 1], 1)
    np.testing.assert_allclose(line(axes, "‖X‖_*")[1:, 1], 1e-3)  # 0, on the axis


def test_trajectories_are_runs_of_the_rule_on_the_quadratic():
    h, start = torch.tensor([[1.0, 0.8], [0.8, 4.0]]).double(), torch.tensor([-1.6, 1.1]).double()
    axes = nd.plot.trajectories(sgd, steps=3, lr=0.1).axes[0]
    step = torch.eye(2, dtype=torch.float64) - 0.1 * h
    wanted = [torch.linalg.matrix_power(step, k) @ start for k in range(4)]
    torch.testing.assert_close(line(axes, "sgd, lr = 0.1"), torch.stack(wanted))
    on_diagonal = nd.plot.trajectories(muon, steps=1, lr=0.1, diagonal=True).axes[0]
    moved = line(on_diagonal, "muon, lr = 0.1")[1] - start
    torch.testing.assert_close(moved, torch.tensor([0.1, -0.1]).double())


def test_the_twin_of_an_invariant_rule_lies_on_its_path():
    axes = nd.plot.trajectories(adam, adam_sania, group="scale", steps=4, lr=0.1).axes[0]
    paths = [torch.as_tensor(np.array(x.get_xydata())) for x in axes.lines[:4]]
    assert not torch.allclose(paths[0], paths[1], atol=1e-2)  # adam
    torch.testing.assert_close(paths[2], paths[3], rtol=1e-6, atol=1e-6)  # its eps is tiny


def test_the_rate_is_the_best_of_those_tried():
    axes = nd.plot.trajectories(sgd, steps=5).axes[0]
    labels = [x.get_label() for x in axes.lines]
    assert "sgd, lr = 0.32" in labels  # 1 diverges: 2 / λ_max is 0.47


def test_verdicts_are_drawn_as_they_are():
    groups = ["orthogonal", "scale", "translation"]
    axes = nd.plot.compare(sgd, muadam, groups=groups).axes[0]
    texts = [x.get_text() for x in axes.texts]
    assert texts == ["yes", "no", "if a", "no", "no", "if a"]
    assert axes.get_xlabel() == "a: weight_decay = 0"
    again = nd.plot.compare(nd.compare(sgd, muadam, witnesses=False), groups=groups)
    assert [x.get_text() for x in again.axes[0].texts] == ["yes", "?", "if a", "?", "?", "if a"]
    with pytest.raises(nd.NormdslError, match="a name of its own"):
        nd.plot.compare(sgd, sgd)


RECORDS = [
    {"norm": "spectral", "preconditioner": "none", "momentum": "ema", "loss": 0.5},
    {"norm": "spectral", "preconditioner": "none", "momentum": "none", "loss": 0.25},
    {"norm": "nuclear", "preconditioner": "adam", "momentum": "ema", "loss": 1.0},
    {"norm": "nuclear", "preconditioner": "none", "momentum": "ema", "loss": float("nan")},
    {"norm": "nuclear", "preconditioner": "none", "momentum": "ema", "loss": None},
]


def test_a_map_of_designs_has_the_best_of_each_pair():
    axes = nd.plot.periodic_table(RECORDS).axes[0]
    texts = [x.get_text() for x in axes.texts]
    assert texts == ["0.25\nnone", "–", "–", "1\nema"]
    bars = [x.get_xdata()[1] - x.get_xdata()[0] for x in axes.lines]
    np.testing.assert_allclose(bars, [0.88, 0.0], atol=1e-12)
    with pytest.raises(nd.DeclarationError, match="no column 'los'"):
        nd.plot.periodic_table(RECORDS, value="los")


def test_a_map_of_rules_reads_their_declarations():
    axes = nd.plot.periodic_table(adam, muadam, muon, nd.algorithms.lion).axes[0]
    columns = [tick.get_text() for tick in axes.get_xticklabels()]
    assert columns == ["D = √(√v + ε)", "none"]
    texts = [x.get_text() for x in axes.texts]
    assert texts == ["adam (sharp)", "–", "muadam (lmo)", "muon (lmo)", "–", "lion (lmo)"]


def test_what_reads_moments_is_not_drawn_on_a_loss_of_weights():
    for draw in (nd.plot.trajectories, nd.plot.spectra):
        with pytest.raises(nd.DeclarationError, match="moments of a layer"):
            draw(kfac)


def test_axes_of_ones_own_are_drawn_into_and_returned():
    from matplotlib.figure import Figure

    for draw in (
        nd.spectral.plot,
        lambda ax: nd.plot.spectra(nd.nuclear, ax=ax),
        lambda ax: nd.plot.trajectories(sgd, lr=0.1, steps=2, ax=ax),
        lambda ax: nd.plot.compare(sgd, groups=["scale"], ax=ax),
        lambda ax: nd.plot.periodic_table(RECORDS, ax=ax),
        lambda ax: nd.plot.drift(nd.twins(sgd, "scale", steps=2), ax=ax),
    ):
        axes = Figure().subplots()
        assert draw(ax=axes) is axes
        assert axes.lines or axes.texts


def test_notebooks_show_a_figure_as_a_transparent_image():
    from matplotlib import image

    shown, size = nd.nuclear.plot()._repr_mimebundle_()
    pixels = image.imread(io.BytesIO(shown["image/png"]))
    assert pixels[0, 0, 3] == 0
    assert pixels.shape[1] == 2 * size["image/png"]["width"]
    assert size["image/png"]["alt"] == "the unit ball of ‖X‖_*"


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(nd.NormdslError, match="pip install 'normdsl"):
        nd.spectral.plot()


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    r, g, b = (x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_are_seen_on_white_and_on_black():
    from normdsl.show.colours import INK, Tone

    tones = [tone.page for tone in Tone]
    for colour in (*SERIES, *tones, FIRST, SECOND, INK):
        assert min(contrast(colour, "#ffffff"), contrast(colour, "#111111")) > 4
    assert math.isclose(contrast("#000000", "#ffffff"), 21)
