"""Terminal: the real command in a real pseudo-terminal: keys go in, and every byte that comes out is kept and drawn."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte

FAKE = Path(__file__).parent / "fake_worker.py"
READY = b"\x1b[?2004h"  # Textual switches bracketed paste on when it takes the terminal


class Terminal:
    """`homespun` with its chats in `data`, in a terminal of `size` columns and rows. A context manager.

    `through`: a command that ends by doing the one that it is given.
    """

    def __init__(
        self,
        data: Path,
        *arguments: str,
        size: tuple[int, int] = (80, 24),
        worker: Sequence[str] = (sys.executable, str(FAKE)),
        through: Sequence[str] = (),
        **environment: str,
    ) -> None:
        self.raw = b""  # all that the app has written
        self.seen: dict[str, float] = {}  # words of `watched` and when they were first on screen
        self.watched: list[str] = []
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self._size(size)
        self.process = subprocess.Popen(
            [*through, sys.executable, "-m", "assistant.start", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
            | {"HOMESPUN_DATA_DIR": str(data), "HOMESPUN_WORKER": shlex.join(worker), "TERM": "xterm-256color"}
            | environment,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                select.select([self._master], [], [], 0.5)
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # the last process on it is gone
                return
            if not chunk:
                return
            self.raw += chunk
            with contextlib.suppress(Exception):  # an emulator's weakness is not the app's
                self._stream.feed(chunk)
            text = self.text
            for word in self.watched:
                if word not in self.seen and word in text:
                    self.seen[word] = time.monotonic()

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(self._screen.display)

    def vanish(self) -> None:
        """Close the terminal without telling the app, as a lost connection does where SIGHUP is ignored."""
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def paste(self, text: str) -> None:
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(max(rows, 1), max(columns, 1))
        self._size((columns, rows))
        self.process.send_signal(signal.SIGWINCH)

    def _size(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def until(self, ready: Callable[[], object], seconds: float = 30.0) -> None:
        limit = time.monotonic() + seconds
        while not ready():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.text}"
            assert time.monotonic() < limit, f"waited in vain; on screen:\n{self.text}"
            time.sleep(0.02)

    def shows(self, words: str, seconds: float = 30.0) -> None:
        self.until(lambda: words in self.text, seconds)

    def begin(self) -> None:
        """Wait for the first frame."""
        self.until(lambda: READY in self.raw and "Search" in self.text)

    def worker(self) -> int | None:
        """The process number of the engine's process."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return int(found[0]) if found else None

    def kill(self) -> None:
        """At once and without a word, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def leave(self) -> int:
        """Quit as a person does. Returns the exit status."""
        self.type("\x11")
        return self.process.wait(timeout=30)
