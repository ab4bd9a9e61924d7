"""The command line, as a user calls it."""

import json
from unittest import mock

import pytest
from commands import normdsl, process
from measurements import REPORT

import normdsl as nd
from normdsl import algorithms
from normdsl.cli import main
from normdsl.compiler.comparison import remembered

MY_RULE = """
import normdsl as nd
from normdsl import G, W

@nd.optimizer
def my_rule(lr=0.1, beta=0.9):
    v = nd.ema(G * G, beta)
    return W + lr * nd.preconditioned(nd.frobenius, hadamard=nd.sqrt(v)).lmo(nd.ema(G, beta))
"""


def test_list_names_every_rule():
    from normdsl.cli.find import shipped

    told = normdsl("list").told
    assert all(name in told for name in shipped())
    signs = told.split("Sign methods: the LMO of the largest-entry norm.")[1]
    assert signs.index("sign_sgd") < signs.index("signum") < signs.index("lion")


def test_show_prints_the_mathematics():
    told = normdsl("show", "muadam_sania").told
    assert "v_buffer ← β₂ v_buffer_old + (1 − β₂) G²" in told
    assert "arXiv:2510.10777" in told


def test_show_leaves_out_the_examples_of_the_docstring():
    told = normdsl("show", "sgd").told
    assert "torch.optim.SGD" in told
    assert ">>>" in algorithms.sgd.doc
    assert ">>>" not in told
    assert "Example" not in told


@pytest.mark.parametrize(
    ("rule", "group", "expected"),
    [
        ("muadam_sania", "scale", ["invariant if eps = 0", "proof:"]),
        ("adam", "scale", ["not invariant", "witness: seed"]),
        ("muon", "orthogonal", ["orthogonal (W = P W̃ Q", ": invariant"]),
        ("one_sided_shampoo", "affine", ["not invariant", "contracts two covariant indices"]),
    ],
)
def test_check_of_one_group(rule, group, expected):
    told = normdsl("check", rule, "--group", group)
    assert told.code == 0
    assert all(part in told.told for part in expected)


def test_check_of_all_groups_with_an_assumption():
    told = normdsl("check", "adam_sania", "--assume", "eps=0").told
    assert "uniform_scale" in told
    assert "eps" not in told
    assert "degree -1." in told


def test_check_of_several_rules_compares_them():
    told = normdsl("check", "sgd", "adam").told
    assert "if eps = 0" in told
    assert "degree 1" in told


def test_all_stands_for_the_rules_that_come_along(monkeypatch):
    few = {name: rule for name, rule in main.shipped().items() if name in ("sgd", "sign_sgd")}
    monkeypatch.setattr(main, "shipped", lambda: few)
    told = normdsl("check", "all").told
    assert {"sgd", "sign_sgd"} <= set(told.split())
    assert "loss_transform" in told


def test_assume_needs_a_value():
    assert "name=value" in normdsl("check", "adam", "--assume", "eps").complaint


def test_source_is_python_that_imports_torch_alone():
    told = normdsl("source", "adamw", "--shape", "4x3").told
    compile(told, "ejected.py", "exec")
    assert "# adamw: W, G: 4 × 3" in told


def test_eject_writes_a_class(tmp_path):
    told = normdsl("eject", "sign_sgd", str(tmp_path / "made.py")).told
    assert told == f"wrote {tmp_path / 'made.py'}: the class SignSgd\n"
    text = (tmp_path / "made.py").read_text("utf-8")
    assert "class SignSgd(torch.optim.Optimizer):" in text
    assert "torch.compile" not in text
    normdsl("eject", "sign_sgd", str(tmp_path / "made.py"), "--compile")
    assert "torch.compile" in (tmp_path / "made.py").read_text("utf-8")


def test_passes_shows_each_stage():
    assert "\nsimplify: identities, until none applies\n" in normdsl("passes", "muon").told


def test_a_users_own_file_works(tmp_path):
    (tmp_path / "my_optimizer.py").write_text(MY_RULE)
    told = process("check", "my_optimizer.py:my_rule", "--group", "scale", cwd=tmp_path)
    assert told.code == 0, told.complaint
    assert ": invariant\n" in told.told


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["muon", "adamw", "kfac"])
def test_training_learns_the_digits(rule):
    told = normdsl("train", rule, "--data", "digits", "--steps", "200", "--lr", "0.01")
    assert told.code == 0, told.complaint
    accuracy = float(told.told.rsplit("test accuracy", 1)[1].strip().rstrip("%"))
    assert accuracy > 85


def test_a_run_that_diverges_is_said_to_and_fails():
    told = normdsl("train", "muadam_sania", "--steps", "20")
    assert told.code == 1
    assert "diverged: the loss ends above its start" in told.complaint
    assert "try: a smaller rate, --lr 0.0001" in told.complaint


def test_what_is_required_decides_how_check_ends():
    assert normdsl("check", "muon", "--require", "orthogonal").code == 0
    told = normdsl("check", "adam", "--require", "orthogonal,scale")
    assert told.code == 1
    assert "required: adam is not proved invariant under scale: not invariant" in told.complaint
    assumed = ("--require", "loss_scale", "--assume")
    assert normdsl("check", "adam", *assumed, "eps=0").code == 0
    assert normdsl("check", "adam", *assumed, "eps=1e-8").code == 1


def test_json_is_for_programs():
    found = json.loads(normdsl("check", "muon", "--group", "orthogonal", "--json").told)
    assert [(x["rule"], x["group"], x["status"]) for x in found] == [
        ("muon", "orthogonal", "invariant")
    ]
    families = json.loads(normdsl("list", "--json").told).values()
    assert any("adam" in family for family in families)
    run = json.loads(normdsl("train", "sgd", "--steps", "2", "--json").told)
    assert len(run["losses"]) == 2
    assert run["fault"] is None


def test_the_version_is_told():
    assert normdsl("--version").told == f"normdsl {nd.__version__}\n"


def test_a_proof_fits_the_width_of_the_console():
    told = normdsl("check", "muadam", "--group", "transpose").told
    assert max(map(len, told.splitlines())) <= 80
    assert "\n        its own transpose: its mirror image" in told


def test_a_table_is_computed_once(monkeypatch, tmp_path):
    monkeypatch.setattr(remembered, "folder", lambda: tmp_path)
    first = normdsl("table", "sgd").told
    assert len(list(tmp_path.iterdir())) == 1
    with mock.patch.object(remembered, "check", side_effect=AssertionError("decided again")):
        assert normdsl("table", "sgd").told == first


def test_the_rules_of_a_file_need_no_names(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text(MY_RULE)
    two.write_text(MY_RULE + MY_RULE.replace("def my_rule", "def other"))
    assert normdsl("check", str(one), "--group", "scale").code == 0
    assert "other" in normdsl("check", str(two), "--group", "scale").told
    complaint = normdsl("show", str(two)).complaint
    assert f"try: write {two}:my_rule, or {two}:other" in complaint


def test_a_bar_is_not_written_into_a_pipe():
    told = normdsl("train", "adamw", "--steps", "3", "--schedule", "cosine")
    assert told.code == 0
    assert len(told.told.splitlines()) == 2
    assert told.complaint == ""


BAD = {
    "unknown rule": ["check", "adamn"],
    "unknown group": ["check", "adam", "--group", "conformal"],
    "unknown hyper-parameter": ["check", "adam", "--assume", "epsilon=0"],
    "no number": ["check", "adam", "--assume", "eps=tiny"],
    "value outside its domain": ["check", "adam", "--assume", "beta1=2"],
    "bad shape": ["source", "adam", "--shape", "256"],
    "no folder": ["eject", "adam", "nowhere/adam.py"],
    "missing file": ["show", "nowhere.py:rule"],
    "unknown data": ["train", "adam", "--data", "imagenet"],
    "unknown schedule": ["train", "adam", "--schedule", "cosin"],
    "negative rate": ["train", "adam", "--lr", "-1"],
    "unknown set": ["bench", "--set", "large"],
    "unknown device": ["bench", "--device", "gpu"],
}


@pytest.mark.parametrize("args", BAD.values(), ids=BAD.keys())
def test_bad_input_is_a_message_not_a_traceback(args):
    told = normdsl(*args)
    assert told.code == 2
    assert "Traceback" not in told.complaint
    assert "  why: " in told.complaint
    assert "  try: " in told.complaint


def test_a_users_mistake_is_shown_with_its_line(tmp_path):
    (tmp_path / "bad.py").write_text(MY_RULE.replace("nd.sqrt(v)", "nd.sqrt(G)"))
    told = process("check", "bad.py:my_rule", cwd=tmp_path)
    assert told.code == 2
    assert "bad.py:8" in told.complaint
    assert "Traceback" not in told.complaint


def test_measurements_are_shown_again(tmp_path):
    saved, page, picture = (tmp_path / name for name in ("speed.json", "speed.md", "speed.png"))
    REPORT.write(saved)
    told = normdsl("bench", "--read", str(saved), "--page", str(page), "--figure", str(picture))
    assert "normdsl AdamW compiled" in told.told
    assert "**missed**" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_solve_and_repair():
    told = normdsl("solve", "adam", "eps", "--group", "loss_scale").told
    assert told == "adam, loss_scale, for eps: eps = 0\n"
    told = normdsl("repair", "muadam", "--group", "scale").told
    assert "the exponent 1/2 of v becomes 1: invariant if eps = 0" in told
    assert normdsl("repair", "muadam", "--group", "scales").code == 2
