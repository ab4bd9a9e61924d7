"""Names of sub-expressions and states."""

import keyword

import normdsl as nd
from normdsl import G, W
from normdsl.declarations.labels import labels
from normdsl.expressions.recursion import After


def names(function):
    return list(nd.optimizer(function).labels.values())


def test_names_are_the_authors_in_order():
    def rule(lr=1.0):
        a = G * G
        b = a + 1
        c = b * a
        return W - lr * c

    assert names(rule) == ["a", "b", "c"]


def test_names_point_at_their_expressions():
    square = G * G
    update = W - square * G
    assert labels(update, [("s", square)]) == {square: "s"}


def test_each_name_uses_earlier_ones_only():
    a = G * G
    b = a + 1
    assert list(labels(W - b * a, [("b", b), ("a", a)]).values()) == ["a", "b"]


def test_inputs_hyper_parameters_unused_values_and_the_update_need_no_name():
    def rule(lr=1.0):
        g = G
        rate = lr
        unused = G * 7  # noqa: F841
        result = W - rate * g
        return result  # noqa: RET504

    assert names(rule) == []


def test_a_state_is_called_after_what_the_author_called_it():
    def rule(beta=0.9):
        m = nd.ema(G, beta)
        return W - m

    assert names(rule) == ["m"]
    assert [type(x) for x in nd.optimizer(rule).labels] == [After]


def test_a_state_without_a_name_is_called_after_its_owner():
    def rule(beta=0.9):
        u = nd.ema(G, beta) * 2
        return W - u

    assert names(rule) == ["u_buffer", "u"]


def test_a_state_without_an_owner_gets_a_number():
    def rule(beta=0.9):
        return W - nd.ema(G, beta) - nd.accumulate(G)

    assert sorted(names(rule)) == ["s1", "s2"]


def test_a_state_only_read_before_its_step_is_named_too():
    def rule(lr=1.0):
        return W - lr * nd.prev(G)

    found = nd.optimizer(rule).labels
    assert [type(x) for x in found] == [After]


def test_names_are_distinct_and_shun_what_is_taken():
    def rule(lr=1.0):
        t = G * G
        loss = G + 1
        torch = G + 2
        m = nd.ema(G, 0.9)
        return W - lr * t * loss * torch * m * m

    found = names(rule)
    assert len(set(found)) == len(found) == 4
    assert not {"t", "loss", "torch"}.intersection(found)
    assert "m" in found


def test_names_of_hyper_parameters_and_python_are_avoided():
    x, y = G * G, G + 1
    lr = nd.expressions.nodes.Param("lr", nd.expressions.domains.NON_NEGATIVE)
    found = labels(W - lr * x * y, [("lr", x), ("lambda", y)])
    assert len(set(found.values())) == 2
    assert "lr" not in found.values()
    assert not any(map(keyword.iskeyword, found.values()))
    assert all(map(str.isidentifier, found.values()))


def test_the_first_of_two_names_counts():
    def rule(lr=1.0):
        first = G * G
        second = G * G
        return W - lr * first * second

    assert names(rule) == ["first"]


def test_coupled_states_each_have_a_name():
    def rule(lr=1.0):
        L, R = nd.fix(lambda a, b: (a + b + G, a - b), (nd.zeros_like(G), nd.zeros_like(G)))
        return W - lr * L * R

    assert names(rule) == ["L", "R"]


def test_a_state_read_before_its_step_has_its_authors_name_and_its_body_is_written_by_names():
    @nd.optimizer
    def rule(lr=0.1):
        def trial(scale):
            u = nd.sign(scale * G + W)
            return u, nd.inner(u, G) > 0

        scale = nd.fix(lambda s: nd.where(trial(s)[1], 2 * s, s / 2), 1)
        step, good = trial(nd.prev(scale, init=1))
        return W - lr * nd.where(good, step, 0)

    assert [line.strip() for line in str(rule).splitlines()[1:]] == [
        "step₂ ← sign(scale_old G + W)",
        "scale ← where(inner(step₂, G) > 0, 2 scale_old, ½ scale_old)",
        "W     ← W − η where(inner(step₂, G) > 0, step₂, 0)",
    ]


def test_what_a_long_formula_repeats_is_numbered():
    @nd.optimizer
    def rule(lr=0.1):
        x = G
        for _ in range(8):
            x = nd.tanh(2 * x + x * x)
        return W - lr * x

    lines = [line.strip() for line in str(rule).splitlines()[1:]]
    assert lines[:2] == ["x₁ ← tanh(2 G + G²)", "x₂ ← tanh(2 x₁ + x₁²)"]
    assert lines[-2:] == ["x  ← tanh(2 x₇ + x₇²)", "W  ← W − η x"]
