"""Ejected files: the same bits as the optimizer of the rule, by torch alone."""

import copy
import importlib
import runpy
import sys

import attrs
import pytest
import torch
from torch import nn

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.eject.eject import class_name, ejected
from normdsl.declarations.rule import Rule

rules = nd.algorithms
MATRICES = ((6, 4), (4, 6), (6, 4), (5, 5))
ANY = ((6, 4), (7,), (), (3, 2, 2, 2), (6, 4), (1, 1))


@nd.optimizer
def polyak(lr: nd.NonNegative = 0.1, floor: nd.LossValue = 0.0):
    return W - lr * nd.maximum(nd.loss - floor, 0) * nd.reciprocal(nd.inner(G, G)) * G


@nd.optimizer
def loss_sign(lr: nd.NonNegative = 0.1):
    return W - lr * nd.loss * nd.sign(G)


@nd.optimizer
def two_steps_ago(lr: nd.NonNegative = 0.1):
    """Every new state is an old one, passed on."""
    before = nd.prev(G)
    return W - lr * nd.prev(before)


@nd.optimizer
def two_matrices_ago(lr: nd.NonNegative = 0.1):
    """The same of matrices."""
    before = nd.prev(G)
    return W - lr * nd.polar(nd.prev(before))


def loaded(rule, schedule=None, view=None, proofs=False):
    """Return the class of an ejected file."""
    text = ejected(rule, schedule or nd.Schedule(), view, proofs)
    space = {"__name__": f"ejected_{rule.name}"}
    exec(compile(text, f"<{rule.name}>", "exec"), space)
    return space[class_name(rule)]


def parameters(shapes, dtype=torch.float32, device="cpu"):
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape).to(device, dtype)) for shape in shapes]


def given(optimizers, step, without=()):
    """Give parameters of several optimizers the same gradients."""
    for opt in optimizers:
        torch.manual_seed(step)
        for k, p in enumerate(p for group in opt.param_groups for p in group["params"]):
            p.grad = torch.randn(p.shape).to(p)
            if k in without:
                p.grad = None


def bits(opt):
    """Return weights and states of an optimizer."""
    params = [p for group in opt.param_groups for p in group["params"]]
    states = [{k: x.clone() for k, x in opt.state.get(p, {}).items()} for p in params]
    return [p.detach().clone() for p in params], states


def require_equal(ours, theirs):
    for p, q in zip(ours[0], theirs[0], strict=True):
        assert torch.equal(p, q)
    for own, other in zip(ours[1], theirs[1], strict=True):
        assert own.keys() == other.keys()
        for name in own:
            assert own[name].dtype == other[name].dtype, name
            assert torch.equal(own[name], other[name]), name


def run(optimizers, steps=4, start=0, without=(), **told):
    """Step several optimizers alike; the second step leaves some parameters out."""
    for step in range(start, start + steps):
        given(optimizers, step, without if step == 1 else ())
        for opt in optimizers:
            opt.step(**told)


CASES = [
    (rules.adamw, ANY, {}),
    (rules.lion, ANY, {}),
    (rules.madgrad, ANY, {}),
    (rules.sgd, ANY, {}),
    (two_steps_ago, ANY, {}),
    (rules.normalized_sgd, ANY, {}),
    (two_matrices_ago, MATRICES, {}),
    (rules.muon, MATRICES, {}),
    (rules.muon, MATRICES, {"schedule": nd.Schedule(polar=nd.jordan())}),
    (rules.muon, ((2, 4, 6), (4, 6), (3, 1, 4, 6)), {"view": nd.views.stack}),
    (rules.soap, MATRICES, {}),
    (rules.soap, MATRICES, {"schedule": nd.Schedule(eigenbasis=nd.QRPower(), refresh=2)}),
    (rules.soap, ((6, 2, 2), (6, 4), (4, 4, 1, 1)), {"view": nd.views.flat}),
    (rules.shampoo, MATRICES, {}),
    (rules.shampoo, (*MATRICES, (2, 2)), {"schedule": nd.Schedule(refresh=3)}),
    (rules.shampoo, MATRICES, {"schedule": nd.Schedule(refresh=3, stagger=False)}),
    (rules.muadam, MATRICES, {}),
    (rules.scion, MATRICES, {}),
    (rules.adamw, ANY, {"schedule": nd.Schedule(state={"m_buffer": "bfloat16"})}),
    (rules.affine_muon, MATRICES, {"schedule": nd.exact}),
]


@pytest.mark.parametrize(
    ("rule", "shapes", "options"), CASES, ids=lambda x: x.name if isinstance(x, Rule) else ""
)
def test_an_ejected_optimizer_takes_the_same_steps_to_the_bit(rule, shapes, options):
    made = loaded(rule, **options)
    for dtype in (torch.float32, torch.bfloat16):
        ours = made(parameters(shapes, dtype))
        theirs = rule(parameters(shapes, dtype), **options)
        run([ours, theirs], without=(1,))
        require_equal(bits(ours), bits(theirs))
        assert any(
            (p != q).any() for p, q in zip(bits(ours)[0], parameters(shapes, dtype), strict=True)
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_points_beside_the_weights_are_evaluated_to_the_bit(dtype):
    rule = rules.schedule_free_adamw
    ours, theirs = loaded(rule)(parameters(ANY, dtype)), rule(parameters(ANY, dtype))
    run([ours, theirs], steps=3)
    before = bits(ours)
    for opt in (ours, theirs):
        opt.eval()
        opt.eval()
    require_equal(bits(ours), bits(theirs))
    assert not all(map(torch.equal, before[0], bits(ours)[0]))
    given([ours], 3)
    with pytest.raises(ValueError, match=r"call train\(\) first"):
        ours.step()
    for opt in (ours, theirs):
        opt.train()
    require_equal(bits(ours), before)
    run([ours, theirs], start=3)
    require_equal(bits(ours), bits(theirs))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("rule", [rules.adamw, rules.madgrad, rules.muon, rules.soap])
def test_the_bits_are_the_same_on_a_gpu(rule):
    schedule = nd.Schedule(compile=False, refresh=2)
    ours = loaded(rule, schedule)(parameters(MATRICES, device="cuda"))
    theirs = rule(parameters(MATRICES, device="cuda"), schedule=schedule)
    run([ours, theirs], without=(1,))
    require_equal(bits(ours), bits(theirs))


@pytest.mark.parametrize("rule", [polyak, loss_sign])
def test_a_rule_that_reads_the_loss_is_told_it(rule):
    ours, theirs = loaded(rule)(parameters(ANY)), rule(parameters(ANY))
    run([ours, theirs], loss=0.3)
    given([ours, theirs], 9)
    assert ours.step(lambda: torch.tensor(0.7)) == 0.7
    theirs.step(lambda: torch.tensor(0.7))
    require_equal(bits(ours), bits(theirs))
    before = bits(ours)
    with pytest.raises(ValueError, match="reads the loss"):
        ours.step()
    with pytest.raises(ValueError, match="NaN or infinite"):
        ours.step(loss=float("nan"))
    require_equal(bits(ours), before)


def test_groups_have_hyperparameters_of_their_own_numbers_or_tensors():
    def groups():
        a, b, c, d = parameters([(6, 4)] * 4)
        return [{"params": [a], "lr": torch.tensor(0.3)}, {"params": [b, c]}, {"params": [d]}]

    ours, theirs = loaded(rules.muon)(groups(), lr=0.1), rules.muon(groups(), lr=0.1)
    run([ours, theirs], 2)
    assert len(ours._buckets) == 2
    for opt in (ours, theirs):
        opt.param_groups[0]["lr"].fill_(0.2)
        opt.param_groups[2]["lr"] = 0.05
    run([ours, theirs], 2, start=2)
    assert len(ours._buckets) == 3
    require_equal(bits(ours), bits(theirs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_checkpoint_comes_back_to_the_bit(dtype):
    schedule = nd.Schedule(refresh=3)
    made = loaded(rules.soap, schedule)
    whole, half = made(parameters(MATRICES, dtype)), made(parameters(MATRICES, dtype))
    run([whole], 6)
    run([half], 4)
    resumed = made(parameters(MATRICES, dtype), lr=7.0)
    with torch.no_grad():
        for p, q in zip(
            resumed.param_groups[0]["params"], half.param_groups[0]["params"], strict=True
        ):
            p.copy_(q)
    resumed.load_state_dict(half.state_dict())
    run([half], 1, start=77)  # its states are not those of the other one
    run([resumed], 2, start=4)
    require_equal(bits(resumed), bits(whole))
    assert resumed.param_groups[0]["lr"] == whole.param_groups[0]["lr"]


def test_a_copy_steps_by_itself():
    ours = loaded(rules.adamw)(parameters(ANY))
    run([ours], 2)
    twin = copy.deepcopy(ours)
    run([ours, twin], 2, start=2)
    require_equal(bits(ours), bits(twin))


@pytest.mark.parametrize("rule", [rules.adamw, rules.soap])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("done", [0, 2])
def test_a_refused_gradient_changes_nothing(rule, bad, done):
    ours = loaded(rule)(parameters(MATRICES))
    run([ours], done)
    before = bits(ours)
    given([ours], 9)
    ours.param_groups[0]["params"][-1].grad[0, 1] = bad
    with pytest.raises(ValueError, match=r"a gradient of shape \(5, 5\) is NaN"):
        ours.step()
    require_equal(bits(ours), before)
    assert bool(ours.state) == bool(done)


def test_a_gradient_whose_square_overflows_is_taken():
    ours = loaded(rules.sign_sgd)(parameters([(3, 2)]), lr=1.0)
    (p,) = ours.param_groups[0]["params"]
    before, p.grad = p.detach().clone(), torch.full((3, 2), 1e30)
    ours.step()
    assert torch.equal(p, before - 1)


def test_large_parameters_step_in_place_and_small_ones_together():
    shapes = [(400, 400), (30, 20), (7,), (131072,), (380, 400)]
    eager = nd.Schedule(compile=False)
    ours = loaded(rules.adamw, eager)(parameters(shapes))
    theirs = rules.adamw(parameters(shapes), schedule=eager)
    for opt in (ours, theirs):  # entries that do not lie in order
        p = opt.param_groups[0]["params"][-1]
        p.data = p.data.t().contiguous().t()
    run([ours, theirs], 2)
    ((_, bucket),) = ours._buckets
    sizes = [[p.numel() for p in params] for params in bucket.runs]
    assert sizes == [[7, 600], [131072], [152000], [160000]]
    require_equal(bits(ours), bits(theirs))


def test_states_are_views_of_one_tensor():
    ours = loaded(rules.muon)(parameters([(6, 4)] * 3))
    run([ours], 1)
    held = [ours.state[p]["u_buffer"] for p in ours.param_groups[0]["params"]]
    assert len({x.untyped_storage().data_ptr() for x in held}) == 1


def test_parameters_that_cannot_be_seen_as_matrices_are_refused():
    made = loaded(rules.muon)
    with pytest.raises(ValueError, match=r"takes real matrices, not torch.float32 of shape \(7,\)"):
        made(parameters([(6, 4), (7,)]))
    with pytest.raises(ValueError, match="complex64"):
        loaded(rules.adamw)([nn.Parameter(torch.zeros(3, dtype=torch.complex64))])


@pytest.mark.parametrize(
    ("rule", "view", "why"),
    [
        (rules.polyak_muadam_sania, None, "combines what all layers have"),
        (rules.kfac, None, "nd.capture"),
        (nd.optimizer(lambda lr=0.1: W - lr * nd.signs_like(G) * G), None, "random numbers"),
        (rules.muon, nd.views.heads(2), "2 blocks of rows"),
        (rules.muon, nd.views.split(4, 2), "split 4"),
    ],
)
def test_what_cannot_be_ejected_is_refused_before_a_file_is_written(tmp_path, rule, view, why):
    with pytest.raises(nd.NormdslError, match=why) as told:
        rule.eject(tmp_path / "made.py", view=view)
    assert told.value.hint
    assert not list(tmp_path.iterdir())


def test_rounding_by_chance_is_refused(tmp_path):
    schedule = nd.Schedule(state="bfloat16", rounding="stochastic")
    with pytest.raises(nd.DeclarationError, match="rounded by chance"):
        rules.adamw.eject(tmp_path / "made.py", schedule=schedule)


def test_a_file_needs_torch_alone(tmp_path, monkeypatch):
    rules.muon.eject(tmp_path / "muon.py", schedule=nd.Schedule(polar=nd.SVD()))
    ours = ("normdsl", "attrs", "attr")
    for name in [x for x in sys.modules if x.partition(".")[0] in ours]:
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    with pytest.raises(ImportError):
        importlib.import_module("normdsl")
    made = runpy.run_path(str(tmp_path / "muon.py"))
    p = torch.nn.Parameter(torch.eye(2))
    opt = made["Muon"]([p], lr=0.5)
    p.grad = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    opt.step()
    assert p.tolist() == [[0.5, 0.0], [0.0, 0.5]]


def test_a_description_is_quoted():
    doc = 'Signs """of\\n the gradient\\'
    made = loaded(attrs.evolve(rules.sign_sgd, doc=doc, name="tensor"))
    assert made.__doc__.startswith(doc + "\n")
    assert made.__name__ == "TensorOptimizer"


@pytest.mark.slow
def test_compiled_files_are_compiled_once():
    made = loaded(rules.adamw, nd.Schedule(compile=True))
    ours, theirs = made(parameters(ANY)), rules.adamw(parameters(ANY))
    torch._dynamo.utils.counters.clear()
    run([ours, theirs], 1)
    for opt in (ours, theirs):
        opt.param_groups[0]["lr"] = 0.1
    run([ours, theirs], 2)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    for p, q in zip(bits(ours)[0], bits(theirs)[0], strict=True):
        torch.testing.assert_close(p, q)


def test_the_docstring_has_the_mathematics():
    told = compile(
        ejected(rules.shampoo, nd.Schedule(root=nd.Eigh(), refresh=10)), "x", "exec"
    ).co_consts[0]
    for part in (
        str(rules.shampoo).splitlines()[1],
        "arXiv:",
        "kept1  m × m: the last L⁻¹ᐟ⁴",
        "every 10 steps",
        "loss_scale           invariant if eps = 0",
    ):
        assert part in told, part
