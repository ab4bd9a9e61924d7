"""What an audit must leave as it found it: random states, default dtype, gradient mode, threads."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from normdsl.compiler.runtime.ambient import apart


@contextmanager
def unchanged() -> Iterator[None]:
    """Run a block in a neutral setting and restore the process's own afterwards.

    Inside, precisions are those of a fresh process, tensors are made on the CPU and of float32
    where an optimizer does not say otherwise, gradients are recorded, warnings are silent, and one
    thread runs: on small matrices more of them only wait for each other.
    """
    python, legacy = random.getstate(), np.random.get_state()
    threads = torch.get_num_threads()
    with (
        apart(),
        torch.random.fork_rng(devices=[]),
        torch.enable_grad(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            random.setstate(python)
            np.random.set_state(legacy)


def seed_everything(seed: int) -> None:
    """Seed every generator that an optimizer might draw from on a CPU."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
