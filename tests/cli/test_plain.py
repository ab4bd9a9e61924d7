"""Symbols by their names where a console cannot write them, for every command."""

import io
import os
import sys

import pytest
from commands import normdsl, process
from pairwise import rotated

from normdsl.cli.find import shipped
from normdsl.cli.plain import Plain, named_symbols, plain

WRITTEN = {
    "β₁ m_old + (1 − β₁) G": "beta1 m_old + (1 - beta1) G",
    "v ← λ √v₂ ∘ X": "v <- lambda sqrt(v2) .* X",
    "√(v + ε)": "sqrt(v + eps)",
    "√v̂ + ε": "sqrt(v_hat) + eps",
    "‖X‖₂ ≤ ½": "||X||_2 <= 1/2",
    "A⁻¹ᐟ² Gᵀ": "A^-1/2 G^T",
    "W = A W̃ B": "W = A W~ B",
    "Müller – 3×4 …": "Muller - 3x4 ...",
    "▁▂█·∞": "128.inf",
    "雪": "?",
}


@pytest.mark.parametrize(("text", "ascii_text"), WRITTEN.items())
def test_symbols_have_names(text, ascii_text):
    assert plain(text, "ascii") == ascii_text
    assert plain(text, "utf-8") == text


def test_what_an_encoding_has_stays():
    assert plain("3×4 ± ½ ← β", "latin-1") == "3×4 ± ½ <- beta"
    assert plain("G² L⁻²", "latin-1") == "G² L^-2"


def test_columns_stay_columns():
    table = "a      verdict      end\nβ₁ ‖x‖  holds ≤ 1    end\n"
    rows = plain(table, "ascii").splitlines()
    assert rows[1] == "beta1 ||x||  holds <= 1  end"
    assert rows[0].index("end") <= rows[1].index("end") + 4
    wide = "β₁         holds\n"
    assert plain(wide, "ascii").index("holds") == wide.index("holds")


def test_every_rule_can_be_written():
    for rule in shipped().values():
        assert plain(f"{rule} {rule.doc}", "ascii").isascii()
        assert "?" not in plain(str(rule), "ascii")


def test_a_stream_that_can_write_symbols_is_left_alone():
    before = sys.stdout, sys.stderr
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        with named_symbols():
            assert not isinstance(sys.stdout, Plain)
        sys.stdout = unable = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
        with named_symbols():
            assert isinstance(sys.stdout, Plain)
            print("β₁ ← ½")
            assert sys.stdout.encoding == "cp1252"
        assert sys.stdout is unable
        unable.flush()
        assert unable.buffer.getvalue().decode("cp1252").strip() == "beta1 <- ½"
    finally:
        sys.stdout, sys.stderr = before


def test_a_process_on_a_console_without_symbols():
    """Once: UnicodeEncodeError."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    done = process("show", "adam", env=env)
    assert done.code == 0
    assert b"beta1 m_buffer_old" in done.out


COMMANDS = {
    "list": (["list"], "Adam"),
    "show": (["show", "muadam_sania"], "beta2 v_buffer_old + (1 - beta2) G"),
    "check": (["check", "adam"], "not invariant"),
    "one group": (["check", "muadam_sania", "--group", "scale"], "S .* W~"),
    "several": (["check", "sgd", "muadam_sania"], "if eps = 0"),
    "table": (["table", "adam"], "||"),
    "repair": (["repair", "muadam", "--group", "scale"], "becomes 1"),
    "source": (["source", "muon", "--shape", "4x3"], "W, G: 4 x 3"),
    "train": (["train", "sgd", "--steps", "2"], "->"),
    "help": (["check", "--help"], "Usage"),
}


@pytest.mark.parametrize(("name", "encoding"), rotated(COMMANDS, ["ascii", "cp1252"], 1))
def test_every_command_works_on_a_console_without_symbols(name, encoding):
    args, told = COMMANDS[name]
    done = normdsl(*args, encoding=encoding)
    assert done.code == 0, done.complaint
    assert told in done.told.replace("×", "x")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_errors_are_written_by_names(encoding, tmp_path):
    code = "import normdsl as nd\n@nd.optimizer\ndef f(beta1=0.9):\n"
    (tmp_path / "bad.py").write_text(code + "    return nd.W - nd.sqrt(beta1 * nd.G)\n")
    done = normdsl("check", f"{tmp_path}/bad.py:f", encoding=encoding)
    assert done.code == 2
    told = done.complaint
    assert "beta1 G" in told
    assert "known to be >= 0" in told
    assert "\\u" not in told


def test_code_is_python_on_every_console(tmp_path):
    """A file is read as UTF-8, whatever the encoding of the console that it was piped from."""
    for encoding in ("cp1252", "latin-1", "utf-8"):
        path = tmp_path / "ejected.py"
        path.write_bytes(normdsl("source", "soap", encoding=encoding).out)
        compile(path.read_bytes(), str(path), "exec")


def test_a_rule_with_neighbours_is_found_by_every_command(tmp_path):
    (tmp_path / "helper.py").write_text("import normdsl as nd\nstep = nd.sign(nd.G)\n")
    code = "import normdsl as nd, helper\n@nd.optimizer\ndef f(lr=0.1):\n"
    (tmp_path / "mine.py").write_text(code + "    return nd.W - lr * helper.step\n")
    commands = ["show"], ["check"], ["source"], ["table"], ["repair", "--group", "scale"]
    for command, *options in (*commands, ["solve", "lr", "--group", "scale"]):
        done = normdsl(command, f"{tmp_path}/mine.py:f", *options, encoding="ascii")
        assert done.code == 0, done.complaint
