"""Waiting for what may never come: standard input, a pipe. Ctrl+C ends the process all the same."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import BinaryIO, TypeVar

T = TypeVar("T")


async def beside(work: Callable[[], T]) -> T:
    """What `work` gives, done in a thread of its own. Unlike asyncio's, nobody waits for it at the end: it may be
    reading from somebody who has nothing to say."""
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(result)

    def go() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 - handed on
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=go, daemon=True).start()
    found: T = await done
    return found


def standard_input() -> BinaryIO:
    """Not `sys.stdin`: the process could not end while a thread waits in that."""
    return open(0, "rb", closefd=False)
