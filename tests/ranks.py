"""Several ranks in one process, a thread each, with real numbers: what they return, or raise.

Unlike `LocalTensorMode`, each runs its own Python, as an owner of a matrix does other things than
those that own none.
"""

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed
from torch.testing._internal.distributed import multi_threaded_pg as threaded


def on_ranks(count: int, body: Callable[[int], Any]) -> list[Any]:
    """Return what `body(rank)` returns on each rank; raise what the first that fails raises."""
    found, errors = [None] * count, [None] * count
    threaded._install_threaded_pg()
    torch._C._distributed_c10d._set_thread_isolation_mode(True)
    store = distributed.HashStore()

    def run(rank: int) -> None:
        try:
            distributed.init_process_group("threaded", rank=rank, world_size=count, store=store)
            found[rank] = body(rank)
        except BaseException as error:
            errors[rank] = error
            threaded.ProcessLocalGroup.exception_handle(error)
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()

    try:
        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threaded.ProcessLocalGroup.reset()
        torch._C._distributed_c10d._set_thread_isolation_mode(False)
        threaded._uninstall_threaded_pg()
    failed = [x for x in errors if x is not None and not isinstance(x, SystemExit)]
    if failed:
        raise failed[0]
    return found
