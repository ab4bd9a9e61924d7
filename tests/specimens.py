"""Optimizers with one fault each, for audits to find."""

import torch
from torch.optim import Optimizer


class Plain(Optimizer):
    """Momentum, with nothing wrong: the base of the faulty ones."""

    def __init__(self, params, lr=0.001, beta=0.9):
        super().__init__(params, {"lr": lr, "beta": beta})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, p.grad, self.state[p], group)

    def update(self, p, g, state, group):
        m = self.average(g, state, group["beta"])
        p.sub_(group["lr"] * m)

    @staticmethod
    def average(g, state, beta):
        state.setdefault("m", torch.zeros_like(g)).mul_(beta).add_(g)
        return state["m"]


class KeepsGradient(Plain):
    """Its state is the gradient itself at first."""

    def update(self, p, g, state, group):
        if "m" not in state:
            state["m"] = g
            p.sub_(group["lr"] * g)
        else:
            super().update(p, g, state, group)


class OverwritesGradient(Plain):
    """Normalises the gradient in place."""

    def update(self, p, g, state, group):
        super().update(p, g.div_(g.norm().clamp(min=1e-30)), state, group)


class TwinStates(Plain):
    """Two slots of its state are one tensor."""

    def update(self, p, g, state, group):
        super().update(p, g, state, group)
        state["copy"] = state["m"].view(-1)


class CorruptsState(Plain):
    """With one option, and in one narrow dtype, normalises its own buffer in place."""

    def __init__(self, params, lr=0.001, beta=0.9, careful=True):
        super().__init__(params, lr, beta)
        self.careful = careful

    def update(self, p, g, state, group):
        m = self.average(g, state, group["beta"])
        m = m.clone() if self.careful else m
        direction = m.to(torch.float16)
        p.sub_(group["lr"] * direction.div_(direction.norm().clamp(min=1e-4)))


class Forgets(Plain):
    """Counts its steps where no state_dict sees them."""

    def __init__(self, params, lr=0.001, beta=0.9):
        super().__init__(params, lr, beta)
        self.count = 0

    def step(self, closure=None):
        self.count += 1
        super().step(closure)

    def update(self, p, g, state, group):
        p.sub_(group["lr"] / self.count * g)


class DividesByZero(Plain):
    """A unit step without a floor."""

    def update(self, p, g, state, group):
        p.sub_(group["lr"] * g / g.norm())


class Floored(Plain):
    """A unit step down to ‖G‖ = 1e-3, and shorter ones below."""

    def update(self, p, g, state, group):
        p.sub_(group["lr"] * g / g.norm().clamp(min=1e-3))


class Coarse(Plain):
    """Computes its unit step in bfloat16."""

    def update(self, p, g, state, group):
        g = g.bfloat16()
        p.sub_(group["lr"] * (g / g.norm()).to(p.dtype))


class Late(Plain):
    """Only looks at its first gradient."""

    def update(self, p, g, state, group):
        if "seen" in state:
            super().update(p, g, state, group)
        state["seen"] = torch.ones(())


class OnlyFloat32(Plain):
    """Takes one dtype."""

    def update(self, p, g, state, group):
        if g.dtype is not torch.float32:
            raise RuntimeError("expected scalar type Float")
        super().update(p, g, state, group)


class NeedsLoss(Plain):
    """A Polyak step: reads the loss."""

    def step(self, closure):
        with torch.enable_grad():
            self.loss = closure()
        super().step()

    def update(self, p, g, state, group):
        p.sub_(0.01 * self.loss * g / g.square().sum().clamp(min=1e-30))


class DecaysWithoutGradient(Plain):
    """Decays every parameter, also one that has no gradient."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["lr"])
        super().step(closure)


class DecaysFrozen(Plain):
    """Decays parameters that need no gradient."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None or not p.requires_grad:
                    p.mul_(1 - group["lr"])
        super().step(closure)


class Coasts(Plain):
    """Goes on by its momentum when a parameter has no gradient any more."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, p.grad, self.state[p], group)
                elif "m" in self.state[p]:
                    p.sub_(group["lr"] * self.state[p]["m"])


class OneRateForAll(Plain):
    """Steps all groups at the learning rate of one, the first or the last."""

    which = 0

    def update(self, p, g, state, group):
        super().update(p, g, state, {**group, "lr": self.param_groups[self.which]["lr"]})


class LastRateForAll(OneRateForAll):
    """Steps all groups at the learning rate of the last."""

    which = -1


class OneBetaForAll(Plain):
    """Averages in all groups as in the first."""

    def update(self, p, g, state, group):
        super().update(p, g, state, {**group, "beta": self.param_groups[0]["beta"]})


class KeepsFirstRate(Plain):
    """Reads the learning rates when it is made, so that schedulers change nothing."""

    def __init__(self, params, lr=0.001, beta=0.9):
        super().__init__(params, lr, beta)
        self.rates = [group["lr"] for group in self.param_groups]

    def update(self, p, g, state, group):
        place = next(k for k, other in enumerate(self.param_groups) if other is group)
        super().update(p, g, state, {**group, "lr": self.rates[place]})


class Rebinds(Plain):
    """Gives a parameter new memory at each step."""

    def update(self, p, g, state, group):
        p.data = p.data - group["lr"] * self.average(g, state, group["beta"])


class Reseeds(Plain):
    """Seeds the global generator at each step."""

    def update(self, p, g, state, group):
        torch.manual_seed(0)
        super().update(p, g, state, group)


class Draws(Plain):
    """Adds noise from the global generator."""

    def update(self, p, g, state, group):
        super().update(p, g + torch.randn_like(g), state, group)


class SeedsWhenMade(Plain):
    """Seeds the global generator when it is made."""

    def __init__(self, params, lr=0.001, beta=0.9):
        super().__init__(params, lr, beta)
        torch.manual_seed(1)


class Turns(Plain):
    """Leaves the precision of matrix products changed."""

    def update(self, p, g, state, group):
        torch.set_float32_matmul_precision("medium")
        super().update(p, g, state, group)


class Ascends(Plain):
    """Knows `maximize`, as a subclass should."""

    sign = -1

    def __init__(self, params, lr=0.001, beta=0.9, maximize=False):
        super().__init__(params, lr, beta)
        for group in self.param_groups:
            group.setdefault("maximize", maximize)

    def update(self, p, g, state, group):
        super().update(p, self.sign * g if group["maximize"] else g, state, group)


class IgnoresMaximize(Ascends):
    """Takes `maximize`, and does nothing with it."""

    sign = 1


class FirstComesFirst(Plain):
    """Scales all steps by the gradient of the first parameter."""

    @torch.no_grad()
    def step(self, closure=None):
        self.size = self.param_groups[0]["params"][0].grad.norm()
        super().step(closure)

    def update(self, p, g, state, group):
        super().update(p, g / self.size, state, group)


class OneStateForAll(Plain):
    """Keeps one average for all that have one shape, whichever parameter and optimizer."""

    averages = {}  # noqa: RUF012

    def update(self, p, g, state, group):
        super().update(p, g, self.averages.setdefault(p.shape, {}), group)


class ClearsFirstGroup(Plain):
    """Forgets the gradients of the first group only."""

    def zero_grad(self, set_to_none=True):
        for p in self.param_groups[0]["params"]:
            p.grad = None
