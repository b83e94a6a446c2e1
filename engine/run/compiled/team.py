"""A few threads that do one job together, within compiled code: parts are taken by whoever is free.

A thread that begins late, because the system had given its core to somebody else, finds less left to do; nobody waits
for it to begin. So a helper is never needed, only welcome. What is shared are a few numbers of 64 bits, each in a cache
line of its own, at the places below from the address `team` on.
"""

from __future__ import annotations

from numba import njit

from engine.run.compiled.registers import breathe, count_up, exchanged, give_way, tell, watched

CALL = 0  # twice how many jobs there have been; odd while the next is being written down
OPEN, DONE, ASLEEP = 64, 128, 192  # the section that is open, and parts taken; parts done; helpers that sleep
KIND, FIRST, ARGUMENTS = 256, 264, 272  # the job: what it is, the number of its first section, and ten numbers
SECTION = 360  # the first number that no section has had yet, from 1 on
BYTES = 384
_TAKEN = 32  # bits for the number of parts taken

SPINS = 2000  # moments, of some 20 ns, after which a thread that waits lets others go first

options = {"nogil": True, "error_model": "numpy"}
small = {**options, "forceinline": True}  # to be part of what calls it


@njit(**small)
def _wait(patience):  # type: ignore[no-untyped-def]
    """A moment; when there have been many, whoever wants this core has it first."""
    if patience > 0:
        breathe()
        return patience - 1
    give_way()
    return 0


@njit(**small)
def open_parts(team, section):  # type: ignore[no-untyped-def]
    """The leader lets all take parts of `section`, whose number only grows."""
    tell(team + DONE, 0)
    tell(team + OPEN, section << _TAKEN)


@njit(**options)
def take_part(team, section, parts):  # type: ignore[no-untyped-def]
    """The number of a part of `section` to do; -1 when there is none left."""
    while True:
        seen = watched(team + OPEN)
        taken = seen & ((1 << _TAKEN) - 1)
        if seen >> _TAKEN != section or taken >= parts:
            return -1
        if exchanged(team + OPEN, seen, seen + 1):
            return taken


@njit(**small)
def part_done(team):  # type: ignore[no-untyped-def]
    count_up(team + DONE, 1)


@njit(**options)
def close_parts(team, parts):  # type: ignore[no-untyped-def]
    """The leader waits until all parts are done."""
    patience = SPINS
    while watched(team + DONE) != parts:
        patience = _wait(patience)


@njit(**options)
def opened(team, section):  # type: ignore[no-untyped-def]
    """A helper waits for `section`, or a later one."""
    patience = SPINS
    while watched(team + OPEN) >> _TAKEN < section:
        patience = _wait(patience)
