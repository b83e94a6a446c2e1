"""`homespun spam`: mails from files, folders or a pipe → verdicts on standard output, one after the other.

Owns the batches between reading and the engine, and the exit status; what is printed is `spam_report.py`. Reading and
normalising are `engine/email_text`; judging happens in the engine's worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from assistant.engine_client import EngineClient
from assistant.errors import AssistantError, UsageError
from assistant.logs import LOG
from assistant.paths import find_paths
from assistant.text import printable
from assistant.verdicts import moves
from assistant.verdicts.report import Bar, Judged, as_details, as_json, as_line
from assistant.verdicts.settings import DEFAULT_RATE, SpamSettings
from assistant.waiting import beside, standard_input
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.sources import Item, is_maildir, read_all
from engine.errors import EngineError
from engine.questions import Classify, Verdicts

NOT_SPAM, SPAM, ERROR, UNSURE = 0, 1, 2, 3  # exit statuses
BATCH_MAILS, BATCH_CHARACTERS, BATCH_SECONDS = 64, 400_000, 0.5


@dataclass(frozen=True)
class SpamWishes:
    """The options of the command."""

    names: tuple[str, ...]
    scorer: Path | None = None
    false_alarms: float | None = None  # as set in the app
    as_json: bool = False
    details: bool = False
    move: Path | None = None
    data_dir: Path | None = None


def batches(items: Iterator[Item]) -> Iterator[list[tuple[Item, EmailText | None]]]:
    """Items with their normalised mails, in growing batches, so that the first verdict comes at once."""
    batch: list[tuple[Item, EmailText | None]] = []
    size, most, began = 0, 1, time.monotonic()
    for item in items:
        try:
            email = None if item.error else normalise(item.raw)
        except Exception as error:  # noqa: BLE001 - it never raises; and if it does, the other mails are judged
            LOG.exception("%s", item.name)
            email, item = None, replace(item, error=f"{item.name} cannot be read ({type(error).__name__}).")
        batch.append((item, email))
        size += len(email.text) if email else 0
        late = time.monotonic() - began > BATCH_SECONDS
        if len(batch) >= most or size >= BATCH_CHARACTERS or late:
            yield batch
            batch, size, most, began = [], 0, min(most * 4, BATCH_MAILS), time.monotonic()
    if batch:
        yield batch


async def judge(items: Iterator[Item], client: EngineClient, wishes: SpamWishes) -> AsyncIterator[Judged]:
    """Every item judged, in order. The next batch is read while the engine judges the one before.

    Raises:
        EngineError, WorkerDied: with a sentence each.
    """
    source = batches(items)
    waiting: tuple[list[tuple[Item, EmailText | None]], asyncio.Task[Any]] | None = None
    try:
        while True:
            batch = await beside(lambda: next(source, None))
            task = asyncio.create_task(_ask(client, batch, wishes)) if batch else None
            if waiting is not None:
                for judged in _together(waiting[0], await waiting[1]):
                    yield judged
            waiting = (batch, task) if batch and task else None
            if batch is None:
                return
    finally:
        if waiting is not None:
            waiting[1].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting[1]


async def _ask(
    client: EngineClient, batch: Sequence[tuple[Item, EmailText | None]], wishes: SpamWishes
) -> Verdicts | None:
    mails = [email for _, email in batch if email is not None]
    if not mails:
        return None
    texts, known = tuple(mail.text for mail in mails), tuple(mail.beside for mail in mails)
    others = tuple(tuple(other.text for other in mail.others) for mail in mails)
    scorer = str(wishes.scorer) if wishes.scorer else ""
    rate = DEFAULT_RATE if wishes.false_alarms is None else wishes.false_alarms
    wanted = wishes.as_json or wishes.details
    answer = await client.ask(Classify("", texts, scorer, rate, wanted, wishes.details, known, others))
    assert isinstance(answer, Verdicts)
    return answer


def _together(batch: Sequence[tuple[Item, EmailText | None]], answer: Verdicts | None) -> Iterator[Judged]:
    rows = iter(answer.verdicts if answer else ())
    for item, email in batch:
        if email is None or answer is None:
            yield Judged(item)
        else:
            yield Judged(item, email, next(rows), answer.scorer, answer.scorer_kind)


def status(wishes: SpamWishes) -> int:
    """The command's exit status. Whatever goes wrong it is neither 0 nor 1: a filter would take that for a verdict."""
    try:
        return asyncio.run(run(_settled(wishes)))
    except KeyboardInterrupt:
        raise  # the command line's business
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads any more; nor was anything found to be no spam
    except (AssistantError, EngineError) as error:
        _tell(f"Error: {error}")
    except Exception as error:  # noqa: BLE001 - the process's edge, see above
        _tell(f"Error: homespun made a mistake ({type(error).__name__}: {error}). No verdict was given.")
    return ERROR


def _settled(wishes: SpamWishes) -> SpamWishes:
    """`wishes` with what was set in the app where they say nothing."""
    settings = SpamSettings(find_paths(wishes.data_dir))
    if wishes.false_alarms is None:
        wishes = replace(wishes, false_alarms=settings.rate)
    if wishes.scorer is None:
        using = settings.in_use()
        wishes = replace(wishes, scorer=using.folder)
        if using.note:
            _tell(f"({using.note})")
    return wishes


async def run(wishes: SpamWishes) -> int:
    """Judge everything `wishes` names, print it, and return the exit status.

    Of several mails: 2 when one could not be read, else 1 when one is spam, else 3 when one is unsure, else 0.
    """
    if wishes.move is not None:
        moves.prepare(wishes.move)
    names = wishes.names
    one = len(names) == 1 and (names[0] == "-" or not os.path.isdir(os.path.expanduser(names[0])))
    client = EngineClient(Path())
    counts: Counter[str] = Counter()
    bar, stayed = Bar(names), 0
    try:
        items = read_all(names, standard_input)
        if one:  # file, in which there may be many; a single mail is shown in full
            first = await beside(lambda: list(islice(items, 2)))
            wishes = replace(wishes, details=wishes.details or len(first) == 1)
            items = chain(first, items)
        async for judged in judge(items, client, wishes):
            counts[judged.verdict.get("answer", "unread")] += 1
            bar.clear()
            _show(judged, wishes)
            if wishes.move is not None:
                gone = _move(judged, wishes.move)
                counts["moved"] += bool(gone)
                stayed += judged.verdict.get("answer") == "spam" and gone is None
            bar.step(judged.item.size)
    finally:
        bar.clear()
        await client.close()
    moved = counts.pop("moved", 0)
    if counts.total() > 1:
        parts = ", ".join(f"{n} {answer}" for answer, n in counts.most_common())
        _tell(f"{counts.total():,} mails: {parts}{f'; {moved} moved' if moved else ''}.")
    if stayed:
        _tell(
            f"{stayed} spam mail{'s' * (stayed != 1)} stay{'s' * (stayed == 1)}: only mail of another Maildir is moved."
        )
    for code, answer in ((ERROR, "unread"), (SPAM, "spam"), (UNSURE, "unsure")):
        if counts[answer]:
            return code
    return NOT_SPAM


def _tell(sentence: str) -> None:
    """A sentence beside the verdicts, on stderr."""
    with contextlib.suppress(OSError, ValueError):  # a filter's verdict does not hang on it
        sys.stderr.write(printable(sentence) + "\n")


def _show(judged: Judged, wishes: SpamWishes) -> None:
    if judged.item.error:
        _tell(f"Error: {judged.item.error}")
        if not wishes.as_json:
            return
    if wishes.as_json:
        line = json.dumps(as_json(judged), ensure_ascii=False)
    elif wishes.details:
        line = as_details(judged)
    else:
        line = as_line(judged)
    sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()


def _move(judged: Judged, target: Path) -> bool | None:
    """Move the mail when it is spam and a Maildir's; whether it was moved, None where it is not to be."""
    path = judged.item.path
    if judged.verdict.get("answer") != "spam" or path is None:
        return None
    if not (path.parent.name in ("cur", "new") and is_maildir(path.parent.parent)):
        return None
    if path.parent.parent.resolve() == target.resolve():
        return None  # it lies there already
    try:
        moves.move(path, target)
    except OSError as error:
        _tell(f"Error: {path} was not moved: {(error.strerror or str(error)).lower()}.")
        return False
    return True


def undo(target: Path) -> None:
    """`homespun spam --undo DIR`.

    Raises:
        UsageError: nothing was moved there, or some of it could not be moved back.
    """
    back, stays = moves.undo(target)
    sys.stdout.write(f"{back} mail{'s' * (back != 1)} moved back.\n")
    if stays:
        raise UsageError(" ".join(stays))
