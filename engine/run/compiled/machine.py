"""Machine: the compiled functions in this process, and the threads that run them together."""

from __future__ import annotations

import ctypes
import os
import threading
from functools import lru_cache

import numpy as np
import torch

from engine.run.compiled.host import file, target
from engine.run.compiled.places import SECTION, TEAM

LINE = 64  # bytes in a cache line
_WORDS = 12  # numbers that the way in takes


class _Helper:
    """A thread that joins in jobs while there are any, and sleeps otherwise."""

    def __init__(self, machine: Machine, number: int) -> None:
        self._machine, self._number = machine, number
        self.asleep, self._bell = False, threading.Lock()
        self._bell.acquire()
        threading.Thread(target=self._run, name=f"helper {number}", daemon=True).start()

    def _run(self) -> None:
        call = 0
        while True:
            call = self._machine.enter(self._number, call)
            self.asleep = True
            self._bell.acquire()

    def wake(self) -> None:
        """Have it look for jobs. One that falls asleep in this moment misses the next job, and no more."""
        if self.asleep:
            self.asleep = False
            self._bell.release()


class Machine:
    """Does jobs of the kinds in `code/jobs.py`, by as many threads as torch uses."""

    def __init__(self) -> None:
        self._enter = ctypes.CDLL(str(file(target()))).homespun_enter
        self._enter.argtypes, self._enter.restype = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * _WORDS, ctypes.c_int
        self._memory = np.zeros((TEAM + LINE) // 8, np.int64)
        self._team = -(-self._memory.ctypes.data // LINE) * LINE
        self._memory[(self._team + SECTION - self._memory.ctypes.data) // 8] = 1
        self._helpers: list[_Helper] = []
        self._one = threading.Lock()  # one leader at a time
        self._nothing = ctypes.c_int64(), ctypes.c_void_p()  # where numba's functions leave a result, and exceptions
        self._left = tuple(map(ctypes.addressof, self._nothing))

    def enter(self, thread: int, call: int) -> int:
        """A helper's life until there has been no job for a while; returns the number of the last one."""
        result, raised = ctypes.c_int64(), ctypes.c_void_p()
        addresses = ctypes.addressof(result), ctypes.addressof(raised)
        self._enter(*addresses, self._team, thread, call, *[0] * (_WORDS - 3))
        return result.value

    def do(self, kind: int, *arguments: int) -> None:
        """Do a job, and return when it is done."""
        with self._one:
            wanted = torch.get_num_threads() - 1
            while len(self._helpers) < wanted:
                self._helpers.append(_Helper(self, len(self._helpers) + 1))
            for helper in self._helpers[:wanted]:
                helper.wake()
            self._enter(*self._left, self._team, 0, 0, kind, *arguments)


@lru_cache(maxsize=1)
def machine() -> Machine:
    """The process's only one."""
    return Machine()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=machine.cache_clear)  # threads stay behind
