"""Phases: as few evaluations as there are points, each after what it depends on."""

import normdsl as nd
from normdsl import G, W
from normdsl.compiler.lowering.phases import answers, phases
from normdsl.compiler.lowering.program import lower
from normdsl.expressions.nodes import Asked
from normdsl.schedules.schedule import Schedule

FAR = W - nd.sign(G)


def asked(*roots):
    return [[q.asked for q in phase.asked] for phase in phases(roots)]


def test_what_is_asked_at_one_point_is_asked_at_once():
    products = nd.hessian_product(W, at=FAR) + nd.hessian_product(G, at=FAR)
    products += nd.gauss_newton_product(W, at=FAR)
    whole = nd.trace(nd.hessian(at=FAR))
    (phase,) = phases([whole * nd.loss_at(FAR) * nd.gradient(at=FAR) + products])
    assert phase.point == FAR
    assert phase.moves
    assert phase.curved
    assert {q.asked for q in phase.asked} == set(Asked)
    assert sorted(zip(map(str, phase.directions), [k.value for k in phase.kinds], strict=True)) == [
        ("G", "Hessian product"),
        ("W", "Gauss-Newton product"),
        ("W", "Hessian product"),
    ]


def test_a_point_made_of_an_answer_comes_after_it():
    first = nd.gradient(at=FAR)
    second = nd.gradient(at=W - first)
    found = phases([second + nd.gradient(at=W - second)])
    assert [p.point for p in found] == [FAR, W - first, W - second]
    assert list(answers(found).values()) == ["answers[0]", "answers[1]", "answers[2]"]


def test_a_direction_made_of_an_answer_asks_at_the_same_point_again():
    slope = nd.gradient(at=FAR)
    found = phases([nd.hessian_product(slope, at=FAR)])
    assert [[q.asked for q in p.asked] for p in found] == [
        [Asked.GRADIENT],
        [Asked.HESSIAN_PRODUCT],
    ]


def test_products_at_the_weights_need_no_move():
    (phase,) = phases([nd.hessian_product(G)])
    assert not phase.moves
    assert not phases([G + W])


def test_samples_are_evaluated_apart():
    both = nd.gradient(at=FAR) + nd.gradient(at=FAR, fresh=True) + nd.gradient(fresh=True)
    found = phases([both + nd.loss_at(FAR, fresh=True) * G])
    assert [(p.point, p.fresh, len(p.asked)) for p in found] == [
        (FAR, False, 1),
        (FAR, True, 2),
        (W, True, 1),
    ]
    assert [p.moves for p in found] == [True, True, False]
    assert all(p.evaluates for p in found)


def test_steps_read_answers_and_nothing_of_how_they_were_asked():
    rule = nd.optimizer(lambda lr=0.1: W - lr * nd.gradient(at=W - nd.spectral.lmo(G)))
    program = lower(rule, Schedule())
    arrays, point = program.code.split("def arrays")[1], program.code.split("def point0")[1]
    assert "polar" in point.split("def ")[0]
    assert "polar" not in arrays
    assert "answers[0]" in arrays
    assert len(program.points) == 1


def test_scalars_of_all_layers_wait_for_the_answers_they_read():
    slope = nd.gradient(at=FAR)
    before = nd.sum(nd.inner(G, G), over="layers")
    after = nd.sum(nd.inner(slope, slope), over="layers")
    rule = nd.optimizer(lambda lr=0.1: W - lr * before * after * slope)
    program = lower(rule, Schedule())
    assert {program.needs[x] for x in program.layers} == {0, 1}
