"""Step counts that the host knows: right whoever else writes the clock."""

import copy
import warnings

import torch
from stepping import parameter, train

import normdsl as nd
from normdsl.algorithms import (
    shampoo,
    soap,
)


def test_a_parameter_listed_twice_keeps_its_refreshes():
    """Once: Each listing counts as a step, and refreshes come too early."""
    once, twice = parameter(3, 3), parameter(3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opt = shampoo([twice, twice], schedule=nd.Schedule(refresh=3))
    plain = shampoo([once], schedule=nd.Schedule(refresh=3))
    for k in range(5):
        once.grad = torch.randn(3, 3, generator=torch.Generator().manual_seed(k)).double()
        twice.grad = once.grad.clone()
        plain.step()
        opt.step()
    torch.testing.assert_close(once, twice)


def test_a_shallow_copy_shares_the_count_with_the_state():
    """Once: Copies share the state, but each counts steps for itself on the host."""
    one, two = parameter(3, 3), parameter(3, 3)
    schedule = nd.Schedule(refresh=3)
    first, other = shampoo([one], schedule=schedule), shampoo([two], schedule=schedule)
    for optimizer, seed, steps in ((first, 0, 2), (copy.copy(first), 1, 2), (first, 2, 3)):
        train(optimizer, steps, seed)
        train(other, steps, seed)
    torch.testing.assert_close(one, two)


def test_a_kept_value_is_not_older_than_the_schedule_says():
    """Once: A basis kept from before a detour by another schedule is taken up again."""
    p, often = parameter(3, 3), nd.Schedule(refresh=10)
    opt = train(soap([p], schedule=often), 11)
    (group,) = opt.param_groups
    basis = opt.state[p]["Q"].clone()
    group["schedule"] = nd.Schedule()
    train(opt, 20, seed=1)
    group["schedule"] = often
    train(opt, 1, seed=2)
    assert not torch.equal(opt.state[p]["Q"], basis)
