"""What an audit must leave as it found it: random states, default dtype, gradient mode, threads."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from normdsl.compiler.batches.ambient import apart


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


def process() -> dict[str, object]:
    """Return what belongs to the whole process and an optimizer might touch, by name."""
    legacy: Any = np.random.get_state()
    name, keys, *rest = legacy
    return {
        "torch's global generator": torch.default_generator.get_state().numpy().tobytes(),
        "Python's global generator": random.getstate(),
        "NumPy's global generator": (name, keys.tobytes(), *rest),
        "the default dtype": torch.get_default_dtype(),
        "whether gradients are recorded": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
        "the precision of matrix products": torch.get_float32_matmul_precision(),
        "whether algorithms are deterministic": torch.are_deterministic_algorithms_enabled(),
        "whether anomalies are detected": torch.is_anomaly_enabled(),
    }


@contextmanager
def settings_restored() -> Iterator[None]:
    """Restore the settings of the process after a block."""
    dtype, precision = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    exact, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    anomalies, recorded = torch.is_anomaly_enabled(), torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(exact)
        torch.set_num_threads(threads)
        torch.autograd.set_detect_anomaly(anomalies)
        torch.set_grad_enabled(recorded)


def seed_everything(seed: int) -> None:
    """Seed every generator that an optimizer might draw from on a CPU."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
