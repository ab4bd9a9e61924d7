"""What holds for every test."""

import gc


def pytest_collection_finish():
    """Spare what has been imported, a few million objects, the search of the garbage collector.

    Trainers and tests collect on purpose, 0.4 s each time with all of torch and sympy to look at.
    """
    gc.collect()
    gc.freeze()
