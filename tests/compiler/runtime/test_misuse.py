"""What people do by mistake or by hand: taken, or refused in our words, and nothing half done."""

from functools import partial

import pytest
import torch
from stepping import parameter, train
from torch import nn
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

import normdsl as nd
from normdsl.algorithms import (
    adamw,
    polyak_muadam_sania,
    shampoo,
)
from normdsl.errors import NormdslError


def test_a_set_of_parameters_is_refused():
    """Once: Sets have no order, so that states are loaded into other parameters."""
    with pytest.raises((TypeError, NormdslError)):
        adamw([{"params": {parameter(2, 2), parameter(3, 3)}}])


def test_a_group_without_params_is_refused():
    """Once: It trains nothing."""
    with pytest.raises((KeyError, TypeError, NormdslError)):
        adamw([{"lr": 1.0}])


def test_a_parameter_that_cannot_be_written_is_refused_before_the_others_are():
    """Once: Half a step taken: torch refuses to write an expanded tensor."""
    first, second = parameter(3, 3), nn.Parameter(torch.randn(3, 1).expand(3, 4))
    before = first.detach().clone()
    with pytest.raises(NormdslError):
        train(adamw([first, second]))
    assert torch.equal(first, before)


@pytest.mark.parametrize("loss", [torch.tensor(3), torch.tensor(True)])
def test_a_loss_of_whole_numbers_is_taken_or_refused(loss):
    """Once: vector_norm of integers; the number 3 is taken."""
    try:
        train(polyak_muadam_sania([parameter(3, 2)]), loss=loss)
    except NormdslError:
        return


def test_a_loss_in_place_of_a_closure_is_refused_in_our_words():
    """Once: 'Tensor' object is not callable, in what newcomers write first."""
    opt = polyak_muadam_sania([parameter(3, 2)])
    with pytest.raises(NormdslError, match="loss="):
        opt.step(torch.tensor(1.0))


def test_a_view_changed_by_hand_is_refused_in_our_words():
    """Once: A crash in reshape, since the state is that of the old view."""
    p = parameter(4, 4)
    opt = train(shampoo([p]))
    opt.param_groups[0]["view"] = nd.views.heads(2)
    with pytest.raises(NormdslError):
        opt.step()


EDITS = {
    "a group without a rule": lambda opt: opt.param_groups.append({"params": []}),
    "a rule by name": lambda opt: opt.param_groups[0].update(rule="adamw"),
    "no schedule": lambda opt: opt.param_groups[0].update(schedule=None),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_groups_edited_by_hand_are_refused_in_our_words(edit):
    """Once: KeyError or AttributeError; what `add_param_group` checks, a step does not."""
    opt = adamw([parameter(2, 2)])
    edit(opt)
    with pytest.raises(NormdslError):
        opt.step()


MISUSES = {
    "a list for a group": lambda m: adamw(m.parameters()).add_param_group([parameter(2, 2)]),
    "a number for parameters": lambda m: adamw([{"params": 5}]),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES.keys())
def test_misuse_is_answered_in_our_words(misuse):
    """Once: An AttributeError or TypeError of ours, or nothing until much later."""
    with pytest.raises(NormdslError):
        misuse(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))


def test_a_number_of_numpy_is_a_number():
    """Once: A loss of float32 of numpy is refused."""
    numpy = pytest.importorskip("numpy")
    train(polyak_muadam_sania([parameter(3, 2)]), loss=numpy.float32(1.0))


def test_a_compiled_training_step_may_contain_the_optimizer():
    """Once: Dynamo traces the step and dies in attrs; torch.optim's own compile."""
    torch.compiler.reset()
    model = nn.Linear(3, 2)
    opt = adamw(model.parameters())

    @torch.compile(backend="eager")
    def step(x):
        model(x).square().mean().backward()
        opt.step()

    step(torch.randn(4, 3))
    assert all(opt.state[p]["step"] == 1 for p in model.parameters())


def test_a_sharded_parameter_steps_as_a_whole_one_or_is_refused():
    """Once: States that start at a multiple of the identity are no DTensors; others step."""
    distributed = torch.distributed
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=1)
    try:
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
        place = partial(distribute_tensor, device_mesh=mesh, placements=[Shard(0)])
        whole, grad = torch.randn(4, 3), torch.randn(4, 3)
        sharded, plain = nn.Parameter(place(whole.clone())), nn.Parameter(whole)
        sharded.grad, plain.grad = place(grad.clone()), grad
        shampoo([sharded]).step()
        shampoo([plain]).step()
        torch.testing.assert_close(sharded.full_tensor(), plain)
    finally:
        distributed.destroy_process_group()
