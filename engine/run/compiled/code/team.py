"""A few threads that do one job together, within compiled code: parts are taken by whoever is free.

A thread that begins late, because the system had given its core to somebody else, finds less left to do; nobody waits
for it to begin. So a helper is never needed, only welcome. What is shared are a few numbers of 64 bits, each in a cache
line of its own, at the places of `places.py` from the address `team` on.
"""

from __future__ import annotations

from numba import njit

from engine.run.compiled.code.atomics import breathe, count_up, exchanged, give_way, tell, watched
from engine.run.compiled.places import DONE, OPEN

_TAKEN = 32  # bits for the number of parts taken

SPINS = 2000  # moments, of some 20 ns, after which a thread that waits lets others go first

compiled = njit(nogil=True, error_model="numpy")
inlined = njit(nogil=True, error_model="numpy", forceinline=True)  # part of what calls it


@inlined
def _wait(patience):
    """A moment; when there have been many, whoever wants this core has it first."""
    if patience > 0:
        breathe()
        return patience - 1
    give_way()
    return 0


@inlined
def open_parts(team, section):
    """The leader lets all take parts of `section`, whose number only grows."""
    tell(team + DONE, 0)
    tell(team + OPEN, section << _TAKEN)


@compiled
def take_part(team, section, parts):
    """The number of a part of `section` to do; -1 when there is none left."""
    while True:
        seen = watched(team + OPEN)
        taken = seen & ((1 << _TAKEN) - 1)
        if seen >> _TAKEN != section or taken >= parts:
            return -1
        if exchanged(team + OPEN, seen, seen + 1):
            return taken


@inlined
def part_done(team):
    count_up(team + DONE, 1)


@compiled
def close_parts(team, parts):
    """The leader waits until all parts are done."""
    patience = SPINS
    while watched(team + DONE) != parts:
        patience = _wait(patience)


@compiled
def opened(team, section):
    """A helper waits for `section`, or a later one."""
    patience = SPINS
    while watched(team + OPEN) >> _TAKEN < section:
        patience = _wait(patience)
