"""What holds for every test."""

import gc
import os
from pathlib import Path

#: Objects that are made before the garbage collector looks at them; 700 by default.
PATIENCE = 50_000


def pytest_configure():
    """Let the garbage collector wait, as expressions are many small objects; interpret Triton."""
    gc.set_threshold(PATIENCE, 20, 20)
    if not Path("/dev/nvidiactl").exists():  # torch is not loaded to count tests
        os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_finish():
    """Spare what has been imported, a few million objects, the search of the garbage collector.

    Trainers and tests collect on purpose, 0.4 s each time with all of torch and sympy to look at.
    """
    gc.collect()
    gc.freeze()
