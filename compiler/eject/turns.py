"""Turns: the parts of an ejected file that keep values between steps, for a rule that does so."""

from __future__ import annotations

from collections.abc import Sequence

from normdsl.compiler.layouts.stepper import Stepper
from normdsl.compiler.lowering.fields import Field
from normdsl.compiler.lowering.fragments import length

#: The places that they fill; of a rule that keeps nothing they are empty.
PLACES = tuple(
    f"turns_{name}" for name in ("constants", "held", "renewed", "dealt", "sorted", "method")
)

_CONSTANTS = '''\
#: For how many steps values are kept; numbers of the states that hold them, and what turns along.
REFRESH, HOMES = {refresh}, {homes}


def cost(p):
    """Return about what it takes to compute what is kept of a parameter: k³ for a k × k matrix."""
    count, rows, cols = matrices(p).shape
    return count * ({cost})


'''
_HELD = """
        self.turns = [int(state[p]["refresh_offset"]) for p in params]
        for p, turn in zip(params, torch.tensor(self.turns, device=first.device)):
            state[p]["refresh_offset"] = turn"""
_RENEWED = """
        kept = [olds[k] for k in HOMES]
        places = enumerate(self.turns)
        due = [k for k, x in places if not self.done or (self.done + x) % REFRESH == 0]
        if due:  # which are next to one another
            a, b = due[0] * self.each, (due[-1] + 1) * self.each
            part = (x[a:b] for x in (W, G, *olds))
            fresh = renew(*part, **once{loss}, {phase}=1 if self.done else 2)
            kept = [torch.cat([x[:a], y, x[b:]]) for x, y in zip(kept, fresh)]"""
_DEALT = """
        self._deal([p for _, p in live])"""
_SORTED = """
            params.sort(key=lambda p: int(self.state[p]["refresh_offset"]))"""
_METHOD = '''
    def _deal(self, params):
        """Give new parameters their turns, by which no step has much more work than others."""
        loads = [0] * REFRESH
        for p in params:
            if "refresh_offset" in self.state[p]:
                done, turn = self.state[p].get("step", 0), self.state[p]["refresh_offset"]
                loads[-int(done + turn) % REFRESH] += cost(p)
        new = [p for p in params if "refresh_offset" not in self.state[p]]
        for p in sorted(new, key=cost, reverse=True):
            wait = {wait}
            loads[wait] += cost(p)
            self.state[p]["refresh_offset"] = torch.tensor(-wait % REFRESH)
'''


def turns(stepper: Stepper) -> dict[str, str]:
    """Return what fills these places for a rule."""
    program, schedule = stepper.program, stepper.program.schedule
    if not program.renewed:
        return dict.fromkeys(PLACES, "")
    homes = [program.fields[k] for k in program.homes]
    told = {"refresh": schedule.refresh, "homes": tuple(program.homes), "cost": _cost(homes)}
    loss = ", loss=loss.to(W).reshape(1, 1, 1)" if stepper.reads_loss else ""
    return {
        "turns_constants": _CONSTANTS.format(**told),
        "turns_held": _HELD,
        "turns_renewed": _RENEWED.format(loss=loss, phase=program.phase),
        "turns_dealt": _DEALT,
        "turns_sorted": _SORTED,
        "turns_method": _METHOD.format(wait="loads.index(min(loads))" if schedule.stagger else "0"),
    }


def _cost(homes: Sequence[Field]) -> str:
    pairs = [tuple(map(length, field.dims)) for field in homes]
    return " + ".join(f"{a}**3" if a == b else f"{a} * {b} * max({a}, {b})" for a, b in pairs)
