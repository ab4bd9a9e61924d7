"""What torch asks of groups, state and hooks, in tests of our own that torch's harness drives."""

import copy
import io
import pickle

import torch

from suites.harness import TestCase, equal, every_rule, inputs, instantiate
from suites.test_torch_steps import closure_of, copies, problem


def trained(info, kwargs, steps=3):
    """Return parameters, their loss and an optimizer, after some steps."""
    params, loss = problem()
    opt = info.optim_cls(params, **kwargs)
    for _ in range(steps):
        opt.step(closure_of(opt, loss))
    return params, loss, opt


def again(info, params, kwargs):
    """Return a twin of a problem at its present weights, with a fresh optimizer."""
    twins, loss = problem()
    with torch.no_grad():
        for twin, p in zip(twins, params, strict=True):
            twin.copy_(p)
    return twins, loss, info.optim_cls(twins, **kwargs)


def run_both(params, loss, opt, twins, twin_loss, twin):
    for _ in range(3):
        opt.step(closure_of(opt, loss))
        twin.step(closure_of(twin, twin_loss))
        equal(copies(params), copies(twins))
    equal(opt.state_dict(), twin.state_dict())


class State(TestCase):
    @every_rule
    def test_a_loaded_state_goes_on_bit_for_bit(self, device, dtype, optim_info):
        for kwargs in inputs(optim_info, device):
            params, loss, opt = trained(optim_info, kwargs)
            saved = copy.deepcopy(opt.state_dict())
            twins, twin_loss, twin = again(optim_info, params, kwargs)
            twin.load_state_dict(saved)
            equal(saved, opt.state_dict())
            run_both(params, loss, opt, twins, twin_loss, twin)

    @every_rule
    def test_hyper_parameters_of_groups_are_loaded(self, device, dtype, optim_info):
        params, loss, opt = trained(optim_info, {"lr": 1e-3})
        for group in opt.param_groups:
            group["lr"] = 5e-4
        twins, twin_loss, twin = again(optim_info, params, {"lr": 1e-2})
        twin.load_state_dict(copy.deepcopy(opt.state_dict()))
        equal([g["lr"] for g in twin.param_groups], [5e-4] * len(opt.param_groups))
        run_both(params, loss, opt, twins, twin_loss, twin)

    @every_rule
    def test_a_file_holds_the_state_and_nothing_that_runs(self, device, dtype, optim_info):
        for kwargs in inputs(optim_info, device):
            params, loss, opt = trained(optim_info, kwargs)
            file = io.BytesIO()
            torch.save(opt.state_dict(), file)
            file.seek(0)
            twins, twin_loss, twin = again(optim_info, params, kwargs)
            twin.load_state_dict(torch.load(file, weights_only=True))
            run_both(params, loss, opt, twins, twin_loss, twin)

    @every_rule
    def test_copies_go_on_bit_for_bit(self, device, dtype, optim_info):
        for kwargs in inputs(optim_info, device):
            for copied in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
                params, loss, opt = trained(optim_info, kwargs)
                twins, twin = copied((params, opt))
                equal(_public(opt), _public(twin))
                for _ in range(3):
                    closure_of(opt, loss)()
                    for p, q in zip(params, twins, strict=True):
                        q.grad = p.grad.clone()
                    opt.step()
                    twin.step()
                    equal(copies(params), copies(twins))

    @every_rule
    def test_names_of_parameters_are_saved_and_loaded(self, device, dtype, optim_info):
        params, loss = problem()
        opt = optim_info.optim_cls([("weight", params[0]), ("bias", params[1])], lr=1e-3)
        opt.step(closure_of(opt, loss))
        saved = opt.state_dict()
        names = [n for group in saved["param_groups"] for n in group["param_names"]]
        equal(names, ["weight", "bias"])
        _, _, nameless = again(optim_info, params, {"lr": 1e-3})
        nameless.load_state_dict(saved)
        equal(nameless.state_dict()["state"], saved["state"])

    @every_rule
    def test_a_group_added_later_has_its_own_options(self, device, dtype, optim_info):
        params, loss = problem()
        opt = optim_info.optim_cls([params[0]], lr=1e-3)
        opt.step(closure_of(opt, loss))
        opt.add_param_group({"params": [params[1]], "lr": 0.0})
        before = copies(params)
        opt.step(closure_of(opt, loss))
        equal(copies(params)[1], before[1])
        assert not torch.equal(copies(params)[0], before[0])

    @every_rule
    def test_groups_without_parameters_are_let_be(self, device, dtype, optim_info):
        params, loss = problem()
        opt = optim_info.optim_cls([{"params": []}, {"params": params}], lr=1e-3)
        first = loss().item()
        opt.step(closure_of(opt, loss))
        assert loss().item() < first

    @every_rule
    def test_state_is_kept_for_every_parameter_that_stepped(self, device, dtype, optim_info):
        params, _, opt = trained(optim_info, {"lr": 1e-3})
        for p in params:
            equal(float(opt.state[p]["step"]), 3.0)
            assert all(torch.is_tensor(x) for x in opt.state[p].values())

    @every_rule
    def test_hooks_run_in_order(self, device, dtype, optim_info):
        params, loss = problem()
        opt = optim_info.optim_cls(params, lr=1e-3)
        seen = []
        opt.register_step_pre_hook(lambda *_: seen.append("before the step"))
        opt.register_step_post_hook(lambda *_: seen.append("after the step"))
        opt.register_state_dict_pre_hook(lambda *_: seen.append("before saving"))
        opt.register_state_dict_post_hook(lambda *_: seen.append("after saving"))
        opt.register_load_state_dict_pre_hook(lambda *_: seen.append("before loading"))
        opt.register_load_state_dict_post_hook(lambda *_: seen.append("after loading"))
        opt.step(closure_of(opt, loss))
        opt.load_state_dict(opt.state_dict())
        order = [
            f"{when} {what}" for what in ("the step", "saving") for when in ("before", "after")
        ]
        equal(seen, [*order, "before loading", "after loading"])


def _public(opt):
    return {k for k in opt.__dict__ if not k.startswith("_")}


instantiate(State, globals())
