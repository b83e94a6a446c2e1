"""Killing the real window, or its engine, at random moments in a real terminal, and looking what is left in the file.

`tests/benchmarks/kills.py` does it hundreds of times, `test_kills.py` a few.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.assistant.terminal import Terminal


@dataclass
class Toll:
    """What was done and what it cost."""

    kills: int = 0
    in_replies: int = 0  # kills while a reply was being made
    words: int = 0  # typed, seen on screen, and old enough at the kill
    lost: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    owed: dict[Path, list[str]] = field(default_factory=dict)  # by database, over all kills


class Typist:
    """Types words that occur once each, now and then sends them, and remembers what was seen on screen and when."""

    def __init__(self, terminal: Terminal, luck: random.Random, name: str) -> None:
        self._terminal, self._luck, self._name = terminal, luck, name

    def type(self, seconds: float) -> None:
        """Go on for so long."""
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            word = f"{self._name}w{number}"
            self._terminal.watched.append(word)
            for letter in word + " ":
                self._terminal.type(letter)
                time.sleep(self._luck.uniform(0.0, 0.03))
            if self._luck.random() < 0.12:
                self._terminal.type("\r")


def kill_window(data: Path, luck: random.Random, name: str, toll: Toll, grace: float = 1.0) -> None:
    """Open the window on `data`, type, kill it at a random moment, check. `grace`: seconds a draft may be behind."""
    with Terminal(data, FAKE_WORKER="slow") as terminal:
        if luck.random() < 0.15:
            time.sleep(luck.uniform(0.0, 1.0))  # killed before there is anything to type into
        else:
            terminal.begin()
            Typist(terminal, luck, name).type(luck.uniform(0.0, 4.0))
        terminal.kill()
        killed = time.monotonic()
        owed = [word for word, when in terminal.seen.items() if when < killed - grace]
    toll.kills += 1
    toll.words += len(owed)
    toll.owed.setdefault(data, []).extend(owed)
    examine(data / "chats.db", toll.owed[data], toll)


def examine(path: Path, owed: list[str], toll: Toll) -> None:
    """Look with SQLite alone: is the file whole, does the index fit the messages, is every word that is owed there?"""
    if not path.exists():
        toll.lost += owed
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for row in db.execute("PRAGMA integrity_check"):
            if row[0] != "ok":
                toll.damage.append(row[0])
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages_fts'").fetchone():
            toll.lost += owed
            return
        try:
            db.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as error:
            toll.damage.append(f"index: {error}")
        toll.in_replies += bool(db.execute("SELECT 1 FROM messages WHERE status = 'streaming'").fetchone())
        texts = [text for (text,) in db.execute("SELECT content FROM messages WHERE role = 'user'")]
        texts += [text for (text,) in db.execute("SELECT draft FROM chats UNION SELECT value FROM settings")]
    everything = " ".join([*texts, ""])  # a draft that was cut off in a word has the next one right behind it
    toll.lost += sorted(word for word in set(owed) if f"{word} " not in everything)


def kill_engines(data: Path, luck: random.Random, toll: Toll, times: int) -> None:
    """In one window, ask and kill the engine at a random moment of the reply, `times` times over."""
    with Terminal(data, FAKE_WORKER="slow") as terminal:
        terminal.begin()
        for time_ in range(times):
            asked = f"engine{time_}question"
            terminal.type(asked + "\r")
            terminal.until(lambda asked=asked: _replies(data, asked))
            while not _ended(data, asked):  # one killed before it had the question has a successor
                time.sleep(luck.uniform(0.0, 1.5))
                if (engine := terminal.worker()) is None:
                    continue
                with suppress(ProcessLookupError):
                    os.kill(engine, signal.SIGKILL)
                    toll.kills += 1
                terminal.until(lambda asked=asked, killed=engine: _ended(data, asked) or terminal.worker() != killed)
            toll.owed.setdefault(data, []).append(asked)
            terminal.type("\x15")  # a question that got no word in reply has come back to the prompt
        assert terminal.leave() == 0
    examine(data / "chats.db", toll.owed[data], toll)


def _ended(data: Path, question: str) -> bool:
    return _replies(data, question) == ["failed"]


def _replies(data: Path, question: str) -> list[str]:
    """The states of the replies to `question`, before which one may stand that came back just then."""
    with closing(sqlite3.connect(data / "chats.db", timeout=10)) as db:
        return [
            status
            for (status,) in db.execute(
                "SELECT r.status FROM messages r JOIN messages q ON r.parent = q.id WHERE instr(q.content, ?)",
                (question,),
            )
        ]
