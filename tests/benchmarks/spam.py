"""Spam: an mbox of short mails in batches, and one mail warm, by the scorer that ships and by the yardstick; and the
same mbox by `homespun spam`, from its start to its end."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.email_text.normalise import normalise
from engine.spam.judge import SpamJudge
from engine.spam.loading import BUNDLED, CLASSICAL, load_judge
from tests.benchmarks.timing import rounds, seconds

MAILS, BATCH = 256, 64
IN_MBOX = 2000  # mails: enough that starting it does not count for much
ROUNDS = 5
WORDS = """the you and for with meeting report lunch project tomorrow thanks list monday draft offer click free order
money account house please send number call today week price new time people work could about which"""


def short_mails(count: int) -> list[bytes]:
    """Mails of 20 to 60 words with headers."""
    rng, words = random.Random(1), WORDS.split()
    mails = []
    for number in range(count):
        body = " ".join(rng.choices(words, k=rng.randint(20, 60)))
        mails.append(f"From: a{number}@b.example\nSubject: {' '.join(rng.choices(words, k=4))}\n\n{body}.\n".encode())
    return mails


def command_line(scorer: Path, mbox: Path) -> Callable[[], float]:
    command = [sys.executable, "-m", "assistant.cli", "spam", "--scorer", str(scorer), str(mbox)]

    def run() -> None:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        if done.stdout.count(b"\n") != IN_MBOX:
            raise RuntimeError("homespun spam did not judge every mail")

    return lambda: IN_MBOX / seconds(run)


def main() -> None:
    mails = short_mails(MAILS)
    judges = {path.name: load_judge(path) for path in (BUNDLED, CLASSICAL)}

    def batched(judge: SpamJudge) -> Callable[[], float]:
        def run() -> None:
            for start in range(0, MAILS, BATCH):
                judge.judge([normalise(raw).text for raw in mails[start : start + BATCH]], evidence=False)

        return lambda: MAILS / seconds(run)

    def single(judge: SpamJudge, evidence: bool) -> Callable[[], float]:
        def run() -> None:
            for raw in mails[:10]:
                judge.judge([normalise(raw).text], evidence=evidence)

        return lambda: seconds(run) * 100

    for name, found in rounds({name: batched(judge) for name, judge in judges.items()}, ROUNDS).items():
        print(f"spam, short mails in batches, {name}: {found.show('mails/s')}")
    for evidence in (False, True):
        told = "with evidence" if evidence else "verdict alone"
        for name, found in rounds({n: single(j, evidence) for n, j in judges.items()}, ROUNDS).items():
            print(f"spam, one mail warm, {told}, {name}: {found.show('ms')}")
    with tempfile.TemporaryDirectory() as folder:
        mbox = Path(folder) / "in.mbox"
        envelope = b"From x Mon Jan  1 00:00:00 2024\n"
        mbox.write_bytes(b"".join(envelope + mail + b"\n" for mail in short_mails(IN_MBOX)))
        shells = {path.name: command_line(path, mbox) for path in (BUNDLED, CLASSICAL)}
        for name, found in rounds(shells, 3).items():
            print(f"homespun spam, an mbox of {IN_MBOX:,} short mails, {name}: {found.show('mails/s')}")


if __name__ == "__main__":
    main()
