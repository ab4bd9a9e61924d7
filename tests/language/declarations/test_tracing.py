"""Declaring under profilers, tracers and debuggers: names are found, and nobody is disturbed."""

import cProfile
import subprocess
import sys
import textwrap
import threading

import pytest

import normdsl as nd
from normdsl import G, W


def declared():
    @nd.optimizer
    def averaged(lr=0.1, beta: nd.Fraction = 0.9):
        m = nd.ema(G, beta)
        new = W - lr * m
        return new  # noqa: RET504

    return [name for name, _ in averaged.names]


def under_c_profiler():
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        return declared()
    finally:
        assert sys.getprofile() is not None
        profiler.disable()
        assert any("averaged" in str(row.code) for row in profiler.getstats())


def under_profile_function():
    called = []
    before = sys.getprofile()

    def profile(frame, event, _):
        if event == "return":
            called.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        found = declared()
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(before)
    assert "averaged" in called
    return found


def under_tracer():
    lines = []
    before = sys.gettrace()

    def trace(frame, event, _):
        lines.append(frame.f_code.co_name)
        return trace

    sys.settrace(trace)
    try:
        found = declared()
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)
    assert "averaged" in lines
    return found


def in_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.extend(declared()))
    thread.start()
    thread.join()
    return found


@pytest.mark.parametrize(
    "run", [declared, under_c_profiler, under_profile_function, under_tracer, in_a_thread]
)
def test_names_are_found_and_nobody_is_disturbed(run):
    """Once: importing under cProfile raised, as its profiler could not be set again."""
    assert run() == ["m", "new"]


def test_a_mistake_leaves_profilers_as_they_were():
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        before = sys.getprofile()
        with pytest.raises(nd.DeclarationError, match="undeclared"):

            @nd.optimizer
            def wrong(lr=0.1):
                return W - unknown * G  # noqa: F821

        assert sys.getprofile() is before
    finally:
        profiler.disable()


def test_names_are_those_of_the_function_alone():
    def helper(x):
        inner = nd.ema(x, 0.5)
        return inner  # noqa: RET504

    @nd.optimizer
    def inside_another(lr=0.1):
        @nd.optimizer
        def other(lr=0.1):
            theirs = nd.ema(G, 0.25)
            return W - lr * theirs

        m = helper(G)
        return W - lr * m * nd.sum(other.update)

    assert [name for name, _ in inside_another.names] == ["m"]


def test_names_count_as_they_are_at_last():
    @nd.optimizer
    def rebound(lr=0.1):
        m = nd.ema(G, 0.5)
        m = nd.ema(m, 0.25)
        gone = 2 * m
        result = W - lr * gone
        del gone
        return result

    assert [name for name, _ in rebound.names] == ["m", "result"]
    assert dict(rebound.names)["m"] == nd.ema(nd.ema(G, 0.5), 0.25)


SCRIPT = """
import normdsl as nd
@nd.optimizer
def mine(lr=0.1):
    m = nd.ema(nd.G, 0.9)
    return nd.W - lr * m
print([name for name, _ in mine.names])
"""


@pytest.mark.parametrize(
    "how",
    [["-m", "cProfile"], ["-m", "profile"], ["-m", "trace", "--listfuncs"]],
    ids=lambda how: how[1],
)
def test_a_program_runs_under_the_tools_of_python(how, tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(SCRIPT))
    told = subprocess.run(
        [sys.executable, *how, "mine.py"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "['m']" in told.stdout


def test_a_debugger_stops_inside_a_declaration(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(SCRIPT))
    told = subprocess.run(
        [sys.executable, "-m", "pdb", "-c", "break 6", "-c", "continue", "mine.py"],
        input="p str(m.shape)\ncontinue\nquit\n",
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert "return nd.W - lr * m" in told.stdout
    assert "m×n" in told.stdout
    assert "['m']" in told.stdout
