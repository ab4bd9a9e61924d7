"""Rules over several parameters: how groups act on their spaces, what is proved or refuted."""

import functools

import pytest
import torch
from grammar import pairs

import normdsl as nd
from normdsl.compiler.invariance import groups as g
from normdsl.compiler.invariance.conditions import Assumption, Kind
from normdsl.compiler.invariance.laws import ANYTHING, Frame
from normdsl.compiler.invariance.verdict import Status
from normdsl.compiler.invariance.witness import PARTED, Experiment
from normdsl.compiler.verdicts.check import check
from normdsl.compiler.verdicts.elements import draw
from normdsl.compiler.verdicts.jointly import Jointly, packing
from normdsl.compiler.verdicts.probe import Probe
from normdsl.compiler.verdicts.simulate import twins
from normdsl.expressions.nodes import Source, Stream

a = nd.algorithms
LORA = a.scaled_gd.ports
HEADS = (nd.Matrix("r", "d").port("Q"), nd.Matrix("r*", "d").port("K"))
SQUARE = (nd.Matrix("n", "n").port("W"),)
GAIN = (nd.Matrix("m", "d").port("W"), nd.Matrix("d").port("gain"))


@nd.optimizer
def descent(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
    return A.W - lr * A.G, B.W - lr * B.G


@nd.optimizer
def one_sided(A: nd.Matrix("r", "n"), B: nd.Matrix("m", "r"), lr=0.1):
    """As ScaledGD, with the metric of A taken for that of B: the wrong factor's."""
    S = A.W @ A.W.T
    return A.W - lr * nd.inverse(S) @ A.G, B.W - lr * B.G @ nd.inverse(S)


@nd.optimizer
def heads(Q: nd.Matrix("r", "d"), K: nd.Matrix("r*", "d"), lr=0.1):
    """Query and key of an attention head, each in the metric of the other: scores are QᵀK."""
    down = nd.inverse(K.W @ K.W.T) @ Q.G
    return Q.W - lr * down, K.W - lr * nd.inverse(Q.W @ Q.W.T) @ K.G


@nd.optimizer
def similar(W: nd.Matrix("n", "n"), lr=0.1):
    return W.W - lr * W.W @ W.G.T @ W.W


@nd.optimizer
def gained(W: nd.Matrix("m", "d"), gain: nd.Matrix("d"), lr=0.1):
    """A normalisation's gain and the weights behind it, by relative steps of each."""
    down = nd.sum(W.W * W.W, over="rows").T ** -1 * gain.G
    return W.W - lr * W.G * (gain.W.T**-2), gain.W - lr * down


TALL = "(only for r ≤ m, r ≤ n)"


def law(ports, group, name, source=Source.WEIGHTS):
    port = next(p for p in ports if p.name == name)
    return str(group.on(ports).of(Stream(source, port)))


@pytest.mark.parametrize(
    ("ports", "group", "name", "moves"),
    [
        (LORA, g.gauge, "A", "(contra_M, fixed)"),
        (LORA, g.gauge, "B", "(fixed, cov_M)"),
        (LORA, g.scale_gauge, "B", "(fixed, M^(-1))"),
        (LORA, g.affine, "A", "(fixed, contra_B)"),
        (LORA, g.affine, "B", "(contra_A, fixed)"),
        (LORA, g.left_affine, "A", "fixed"),
        (LORA, g.scale, "A", "entries S_A"),
        (HEADS, g.gauge, "Q", "(contra_M, fixed)"),
        (HEADS, g.gauge, "K", "(cov_M, fixed)"),
        (HEADS, g.affine, "K", "(fixed, contra_B)"),
        (SQUARE, g.gauge, "W", "(contra_M, cov_M)"),
        (GAIN, g.scale_gauge, "W", "(fixed, M^(-1))"),
        (GAIN, g.scale_gauge, "gain", "(M, fixed)"),
    ],
)
def test_spaces_move_vectors_by_m_and_forms_by_its_inverse_transpose(ports, group, name, moves):
    assert law(ports, group, name) == moves


def test_a_gradient_moves_by_the_dual():
    assert law(LORA, g.gauge, "A", Source.GRADIENT) == "(cov_M, fixed)"
    assert law(LORA, g.uniform_scale, "B", Source.GRADIENT) == "unit c^(-1)"


def test_spaces_of_one_kind_have_letters_of_their_own():
    chain = tuple(nd.Matrix(*x).port(x) for x in ("kn", "lk", "ml"))
    assert [law(chain, g.gauge, x) for x in ("kn", "lk")] == [
        "(contra_M_k, fixed)",
        "(contra_M_l, cov_M_k)",
    ]


@pytest.mark.parametrize(
    ("rule", "group", "answer"),
    [
        (descent, "gauge", "not invariant"),
        (descent, "orthogonal_gauge", "invariant"),
        (descent, "permutation_gauge", "invariant"),
        (descent, "orthogonal", "invariant"),
        (descent, "translation", "invariant"),
        (one_sided, "gauge", "not invariant"),
        (a.scaled_gd, "gauge", f"invariant if damping = 0 and S and T have full rank {TALL}"),
        (a.lora_muon, "gauge", f"invariant if R and S have full rank {TALL}"),
        (a.lora_rite, "gauge", f"invariant if A Aᵀ and Bᵀ B have full rank {TALL}"),
        (a.scaled_adamw, "orthogonal_gauge", "not invariant"),
        (heads, "gauge", "invariant if K Kᵀ and Q Qᵀ have full rank (only for r ≤ d)"),
        (heads, "affine", "not invariant"),
        (similar, "gauge", "invariant"),
        (similar, "uniform_scale", "invariant"),
        (similar, "translation", "not invariant"),
        (gained, "scale_gauge", "invariant"),
        (gained, "permutation_gauge", "invariant"),
        (gained, "orthogonal_gauge", "not invariant"),
    ],
    ids=lambda x: getattr(x, "name", x),
)
def test_verdicts(rule, group, answer):
    verdict = rule.check(group)
    assert verdict.answer == answer
    if verdict.status is Status.REFUTED:
        assert max(verdict.witness.replay()) > PARTED
        assert "2×" in str(verdict.witness) or rule is gained or rule is similar


def test_shifts_of_parameters_of_one_shape_are_not_told_apart():
    """W₁ − W₂ would be called still if both were shifted by the same T."""

    @nd.optimizer
    def apart(U: nd.Matrix("m", "n"), V: nd.Matrix("m", "n"), lr=0.1):
        pull = nd.polar(U.W - V.W)
        return U.W - lr * (U.G + pull), V.W - lr * V.G

    verdict = apart.check("translation", witnesses=False)
    assert verdict.answer == "unknown"
    assert "is not told from that of a parameter of its shape" in str(verdict)
    assert apart.check("translation").answer == "not invariant"


@pytest.mark.parametrize("rule", [a.scaled_gd, a.lora_muon, a.lora_rite, heads, similar, gained])
@pytest.mark.parametrize("group", [g.gauge, g.scale_gauge, g.orthogonal, g.loss_scale])
def test_every_line_of_a_proof_holds_at_a_random_element(rule, group):
    bound = rule.bind(damping=0.0) if "damping" in rule.defaults else rule
    if not group.acts_on(rule.ports):
        pytest.skip("nothing moves")
    for line, gap in discrepancies(check(bound, group, witnesses=False)):
        assert gap < 1e-8, line


def discrepancies(verdict, shape=(3, 4), seed=5, steps=3):
    """Both sides of each law, along random streams; laws with frames have a free rotation."""
    rule, group = verdict.declaration, verdict.group.on(verdict.declaration.ports)
    lines = [x for x in verdict.proof or () if x.law != ANYTHING and not framed(x.law)]
    lines = [x for x in lines if x.expr != rule.update]
    packed, element = packing(rule.ports, shape), draw(group, shape, seed)
    pure, probe = Jointly(rule, packed), Probe(rule, [x.expr for x in lines])
    rng = torch.Generator().manual_seed(seed)
    dual = [group.of(Stream(Source.GRADIENT, port)) for port in rule.ports]
    sides = []
    for back in (False, True):
        streams = []
        rng.manual_seed(seed)
        for _ in range(steps):
            w, s = (
                torch.randn(1, packed.total, generator=rng, dtype=torch.float64) for _ in range(2)
            )
            loss = torch.tensor(1.5, dtype=torch.float64)
            if back:
                each = zip(dual, packed.split(s), strict=True)
                w, s = element.back(group, w), packed.join([element.undo(y, x) for y, x in each])
                loss = loss / element.c**group.loss_unit
            streams.append((w, s, loss, pure.streams(w, s)))
        hyper = {h.name: 0.3 for h in rule.hyper}
        start = probe.start(streams[0][0], hyper, streams[0][3])
        sides.append(probe.run(streams, start, hyper)[-1])
    for line, ours, theirs in zip(lines, *sides, strict=True):
        there = element.act(line.law, theirs)
        yield line, float((ours - there).norm() / ours.norm().clamp_min(1e-9))


def framed(law):
    return any(isinstance(ix.element, Frame) for ix in (law.rows, law.cols))


COUNT = 9


@functools.cache
def judged():
    """Random rules over a pair in every group that acts on it."""
    return [
        check(rule, group)
        for rule in pairs.rules(COUNT)
        for group in (g.gauge, g.scale_gauge, g.orthogonal_gauge, g.orthogonal, g.uniform_scale)
    ]


def test_no_proof_of_a_random_rule_goes_against_its_runs():
    proved = [v for v in judged() if v.invariant and readable(v)]
    assert len(proved) > COUNT
    for v in proved:
        run = Experiment(v.declaration, v.group, v.declaration.defaults, seed=7, steps=4)
        assert max(twins(run).significant_drift, default=0.0) < PARTED, f"{v}\n{v.declaration}"


def readable(verdict):
    """Whether runs at the defaults meet what a verdict needs."""
    kinds = {c.kind for c in verdict.conditions if isinstance(c, Assumption)}
    return kinds <= {Kind.FULL_RANK} and len(kinds) == len({type(c) for c in verdict.conditions})


def test_random_rules_are_settled():
    found = [v.status for v in judged()]
    assert found.count(Status.UNKNOWN) <= 0.02 * len(found)
    for group in (g.gauge, g.scale_gauge):
        answers = {v.status for v in judged() if v.group == group}
        assert Status.REFUTED in answers
        assert answers & {Status.INVARIANT, Status.CONDITIONAL}
