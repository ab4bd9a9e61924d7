"""Several processes of a script: started together, in one group by gloo, each with what it saw."""

import datetime
import json
import multiprocessing
import sys
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import distributed


def start(main, count, *told, by="fork"):
    """Run `main(rank, *told)` in some processes, and exit with 1 if any of them fails.

    Args:
        main: the function. count: how many processes. told: its other arguments.
        by: how they start; a forked one has imported all already.
    """
    torch.set_num_threads(1)  # so that a copy of this process can compute
    context = multiprocessing.get_context(by)
    every = [context.Process(target=main, args=(rank, *told)) for rank in range(count)]
    for process in every:
        process.start()
    for process in every:
        process.join()
    sys.exit(any(process.exitcode for process in every))


@contextmanager
def group(rank, count, store):
    """Join a group whose processes find each other in a file; nobody waits longer than 20 s."""
    distributed.init_process_group(
        "gloo",
        store=distributed.FileStore(store, count),
        rank=rank,
        world_size=count,
        timeout=datetime.timedelta(seconds=20),
    )
    yield
    distributed.destroy_process_group()


def tell(store, rank, seen):
    """Write what a process saw beside the file of its group."""
    Path(f"{store}.{rank}").write_text(json.dumps(seen))
