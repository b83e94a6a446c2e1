"""Work on a long stream of items in several processes: results in order, and never more than a few items in memory."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from training.recipe import RecipeError

Item = TypeVar("Item")
Result = TypeVar("Result")
WAITING = 3  # items a process, done or to do, that are in memory at once


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(work: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """`work` of each item, in the items' order; with one process, in this one.

    Raises:
        RecipeError: a process was killed, most likely for its memory.
    """
    if processes <= 1:
        yield from map(work, items)
        return
    # Spawned, not forked: this process may hold threads, and a copy of them would hang.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= WAITING * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise RecipeError(
            "A process that prepares data was killed, most likely because memory ran out. "
            "Start again, with fewer --processes: what is done is kept."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
