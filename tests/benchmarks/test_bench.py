"""A whole run: tiny sets, one round, quick contestants; what it says, not how long it took."""

import attrs
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import normdsl as nd
from normdsl.benchmarks import bench as module
from normdsl.benchmarks import floors, peers, timing
from normdsl.benchmarks.bench import bench
from normdsl.benchmarks.contestants import FIELDS, Contestant
from normdsl.benchmarks.floors import Work
from normdsl.benchmarks.results import read
from normdsl.benchmarks.sets import Set
from normdsl.benchmarks.table import text

TINY = Set("gpt", "a tiny one", ((4, 3), (3, 4)), ((5,),))
QUICK = "foreach|normdsl AdamW$|normdsl SOAP"


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "chosen", lambda names, device: (TINY,))
        patch.setattr(floors, "SIDE", {"cpu": 8})
        return bench(only=QUICK, rounds=1)


def test_all_that_were_named_are_measured_and_their_references(report):
    assert not report.skipped
    assert {row.name for row in report.rows} == {
        "torch AdamW fused",
        "torch AdamW foreach",
        "normdsl AdamW",
        "pytorch_optimizer SOAP",
        "normdsl SOAP",
    }
    assert report.parts() == [("gpt", "entry-wise"), ("gpt", "SOAP")]


def test_refreshes_are_seen_twice(report):
    steps = {row.name: len(row.times) for row in report.rows}
    assert steps["normdsl SOAP"] == steps["pytorch_optimizer SOAP"] == 20
    assert steps["normdsl AdamW"] in (1, 2, 3)


def test_cycles_are_spread_over_rounds():
    of = Contestant("a", "SOAP", broken, Work(1.0), refresh=10)
    runner = timing.Runner(of, [], Fails(), "cpu", typical=1.0)
    assert [runner.share(k, 3) for k in range(3)] == [6, 7, 7]
    short = timing.Runner(attrs.evolve(of, refresh=1), [], Fails(), "cpu", typical=0.001)
    assert short.share(0, 3) == 3
    short.typical = 1.0
    assert short.share(0, 3) == 1
    short.times = [5.0, 5.0, 5.0]
    assert short.share(1, 3) == 0


def test_the_table_has_all_columns(report):
    told = text(report)
    heads = "median ms (min … max)", "mean ms", "slowest / median", "× reference", "× floor"
    for head in (*heads, "extra memory", "first step s"):
        assert told.count(head) == 2
    assert "launch" not in told
    assert "GB/s" in told
    reference = next(line for line in told.splitlines() if "torch AdamW fused  " in line)
    assert "  1.00  " in reference


@pytest.mark.parametrize("width", [60, 80])
def test_the_table_is_folded_to_a_console(report, width):
    told = text(report, width)
    tables = [line for line in told.splitlines() if "GB/s" not in line and "over that" not in line]
    assert max(map(len, tables)) <= width
    assert told.count("torch AdamW fused  ") > text(report).count("torch AdamW fused  ")


def test_measurements_are_saved_and_read_again(report, tmp_path):
    path = tmp_path / "speed.json"
    report.write(path)
    assert read(path) == report
    path.write_text("{}")
    with pytest.raises(nd.NormdslError, match="--json"):
        read(path)


def broken(params, device):
    raise ImportError("No module named 'dion'")


class Fails:
    def __init__(self, after=0):
        self.left = after

    def step(self):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("not today\nor ever")


def test_who_cannot_run_is_listed_with_the_reason(monkeypatch):
    monkeypatch.setattr(floors, "SIDE", {"cpu": 8})
    never = [
        Contestant("a", "Muon", broken, Work(1.0)),
        Contestant("b", "Muon", lambda params, device: Fails(), Work(1.0)),
        Contestant("c", "Muon", broken, Work(1.0), device="cuda"),
        Contestant("e", "Muon", lambda params, device: Fails(after=4), Work(1.0)),
        Contestant("d", "Muon", broken, Work(1.0), left_out={"gpt on cpu": "it is slow"}),
    ]
    rows, skipped, _ = timing.measure(FIELDS[1], TINY, never, "cpu", 1)
    assert rows == []
    assert [(x.name, x.why) for x in skipped] == [
        ("a", "not importable: No module named 'dion'"),
        ("b", "RuntimeError: not today or ever"),
        ("c", "it needs cuda"),
        ("d", "it is slow"),
        ("e", "RuntimeError: not today or ever"),
    ]
    _, skipped, _ = timing.measure(FIELDS[1], TINY, never[:1], "cpu", 1, ends=0.0)
    assert skipped[0].why == "there was no time left"


def test_peers_multiply_in_float32_on_a_cpu():
    for name in ("torch Muon", "pytorch_optimizer Muon"):
        make = next(c.make for c in peers.contestants() if c.name == name)
        dtypes = set()
        p = torch.nn.Parameter(torch.zeros(6, 4))
        p.grad = torch.randn(6, 4)
        optimizer = make([p], "cpu")
        with Products(dtypes):
            optimizer.step()
        assert dtypes == {torch.float32}
        assert torch.ones(1).bfloat16().dtype is torch.bfloat16


class Products(TorchDispatchMode):
    """The dtypes of matrix products."""

    def __init__(self, dtypes):
        super().__init__()
        self.dtypes = dtypes

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "mm" in func.__name__:
            self.dtypes.add(args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"device": "gpu"}, "no such type"),
        ({"only": "nobody"}, "no contestant"),
        ({"only": "("}, "regular expression"),
        ({"sets": ["large"]}, "no set"),
    ],
)
def test_what_cannot_be_measured_is_refused(asked, why):
    with pytest.raises(nd.NormdslError, match=why):
        bench(**asked)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(nd.NormdslError, match="torch sees none"):
        bench(device="cuda")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_tells_launches_and_memory(monkeypatch):
    monkeypatch.setattr(module, "chosen", lambda names, device: (TINY,))
    told = bench(device="cuda", only=QUICK, rounds=1)
    assert "launch ms" in text(told)
    assert all(row.launch > 0 and row.memory >= 0 for row in told.rows)


def test_the_processor_is_named_and_not_the_machine(report):
    import platform

    assert report.hardware
    assert platform.node() not in (report.hardware, *report.versions)
