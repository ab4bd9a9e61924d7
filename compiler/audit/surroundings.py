"""What an audit must leave as it found it: random states, the default dtype, gradient mode."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def unchanged() -> Iterator[None]:
    """Run a block in a neutral setting and restore the process's own afterwards.

    Inside, the default dtype is float32, gradients are recorded and warnings are silent.
    """
    python, legacy, dtype = random.getstate(), np.random.get_state(), torch.get_default_dtype()
    with (
        torch.random.fork_rng(devices=[]),
        torch.enable_grad(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            random.setstate(python)
            np.random.set_state(legacy)


def seed_everything(seed: int) -> None:
    """Seed every generator that an optimizer might draw from on a CPU."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
