"""The problems: what they train, and that theory holds on them."""

import pytest
import torch

from normdsl.algorithms import adam, adam_sania, lora_rite, muon
from normdsl.experiments import lora, sentences
from normdsl.experiments.charlm import charlm
from normdsl.experiments.experiment import split
from normdsl.experiments.methods import SIXTEEN, WITHOUT_EPS, Method, methods
from normdsl.experiments.scale import BLIND, CARRIED, DATA, RAW, scale
from normdsl.experiments.study import run
from normdsl.training.run import train

STEPS = 5
SCALE = scale(STEPS)


def trained(experiment, problem, rule, rate, seed=1):
    return run(experiment, problem, Method(rule.name, rule), rate, seed)


@pytest.mark.parametrize("data", DATA)
def test_an_invariant_rule_goes_one_way_in_all_units_and_adam_does_not(data):
    ways = {p.condition: p for p in SCALE.problems if p.data == data}
    for rule, same in ((adam_sania.bind(eps=0), True), (adam, False)):
        raw, carried, blind = (
            trained(SCALE, ways[c], rule, 1e-3).test for c in (RAW, CARRIED, BLIND)
        )
        assert (carried == pytest.approx(raw, rel=1e-3)) == same
        assert blind != pytest.approx(raw, rel=0.01)


def test_the_test_part_is_the_same_for_all_seeds_and_never_trained_on():
    parts = [split(100, seed) for seed in (0, 1)]
    assert torch.equal(parts[0][2], parts[1][2])
    assert not torch.equal(parts[0][0], parts[1][0])
    for part in parts:
        assert sorted(torch.cat(part).tolist()) == list(range(100))
        assert [len(x) for x in part] == [60, 20, 20]


def test_methods_are_those_of_the_paper_and_more_each_with_a_rate():
    names = [m.name for m in methods(pairs=True)]
    assert set(SIXTEEN) < set(names)
    assert len(set(names)) == len(names)
    for name in WITHOUT_EPS:
        bound = methods()[names.index(f"{name} (ε = 0)")].rule
        assert bound.name == name
        assert "eps" not in bound.defaults
    assert all("lr" in m.rule.defaults for m in methods(pairs=True))


def test_characters_are_learnt():
    experiment = charlm(STEPS)
    (problem,) = experiment.problems
    still, moved = (trained(experiment, problem, muon, rate) for rate in (0.0, 0.03))
    assert moved.test < still.test - 0.05
    assert moved.state == 1


def test_adapters_learn_and_a_rule_for_pairs_takes_both_factors(monkeypatch):
    monkeypatch.setattr(sentences, "EACH", 10)
    monkeypatch.setattr(lora, "_read", lora._read.__wrapped__)
    experiment = lora.lora(STEPS)
    (problem,) = experiment.problems
    for rule, rate in ((muon, 0.1), (lora_rite, 0.01)):
        trial = problem.trial(1)
        factors = [x for pair in lora._adapters(trial.task.model) for x in pair]
        before = [x.detach().clone() for x in trial.task.model.parameters()]
        train(trial.task, trial.optimizers(rule, rate), STEPS)
        moved = [
            name
            for (name, x), y in zip(trial.task.model.named_parameters(), before, strict=True)
            if not torch.equal(x, y)
        ]
        assert len(factors) == 4 * lora.ADAPTED
        assert len(moved) == len(factors) + 2
        assert all("lora_" in name or name.startswith("head.") for name in moved)
