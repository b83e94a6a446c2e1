"""VerdictService: one mail → kept, judged, explained. Without a screen; the mail is in the store before it is judged.

`details` of a kept verdict, all of it JSON:
    threshold, false_alarms, scorer, kind     of the verdict (Verdicts in engine/protocol.py)
    evidence     [start, end, weight] rows: spans of `shown`, in log-odds
    findings     [kind, sentence, weight, start, end] rows; start is -1 where a finding has no place
    notes        sentences: what was cut, or could not be read
    beside       {"scorer", "kind", "answer", "probability"} of the classical scorer, where another one judged
    reading      a sentence about what decided, where that is not the mail's text; else ""
    labels       [label, probability] rows, the likeliest first, for a task other than spam; `scorer` is then its name
    label_notes  sentences about how they were found
    offset       where in `shown` subject and body begin
    error        why it could not be judged
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.engine_client import EngineClient
from assistant.errors import AssistantError, UsageError
from assistant.paths import Paths
from assistant.prompting.typed_path import typed_path
from assistant.storage.store import Store
from assistant.storage.verdicts import SPAM_TASK, Kept
from assistant.text import printable
from assistant.verdicts.examples import Example
from assistant.verdicts.findings import decisive
from assistant.verdicts.fine_tuning import FineTuning
from assistant.verdicts.label_sets import LabelSets
from assistant.verdicts.labelling import Labeller, readable
from assistant.verdicts.settings import CLASSICAL, SpamSettings
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.sources import Item, read_path
from engine.errors import EngineError
from engine.questions import Classify, Verdicts

MOST_MAILS = 50  # of an mbox or folder that are judged here; `homespun spam` takes any number
LONGEST_KEPT = 500_000  # bytes of a mail that are kept as they came, to judge it again


class VerdictService:
    """Judges with `client`, keeps in `store`; `tell` hears what has ended behind the screens."""

    def __init__(self, store: Store, client: EngineClient, paths: Paths, tell: Callable[[str], None]) -> None:
        self.store, self.client = store, client
        self.settings, self.sets = SpamSettings(paths), LabelSets(paths)
        self.tuning = FineTuning(tell)
        self._labeller: tuple[Path, Labeller] | None = None  # the last one, and the language model it asked

    async def close(self) -> None:
        """End what goes on behind the screens."""
        await self.tuning.close()

    async def read(self, name: str) -> AsyncIterator[Item]:
        """The mails of the file or folder `name`, at most MOST_MAILS, read in a thread, one in memory at a time.

        Raises:
            UsageError: it is neither; or it has more mails, after the first of them have come.
        """
        path = typed_path(name)
        if not (os.path.isfile(path) or os.path.isdir(path)):
            raise UsageError(f"{printable(name)} is not there, or neither a file nor a folder.")
        source = read_path(path)
        for _ in range(MOST_MAILS):
            item = await asyncio.to_thread(next, source, None)
            if item is None:
                return
            yield item
        if await asyncio.to_thread(next, source, None) is not None:
            raise UsageError(f"Only the first {MOST_MAILS} mails were judged. For all of them: homespun spam {name}")

    async def keep(self, item: Item, task: str = SPAM_TASK) -> tuple[int, EmailText]:
        """Store `item` as a mail that is about to be judged.

        Raises:
            UsageError: there is no mail, but a sentence why.
            StorageError: it could not be stored.
        """
        if item.error:
            raise UsageError(printable(item.error))
        email = await asyncio.to_thread(normalise, item.raw)
        values = {
            "name": printable(item.name),
            "subject": printable(email.fields.subject),
            "sender": printable(email.fields.from_address),
            "shown": printable(email.shown),
            "text": email.text,
            "normaliser": email.version,
            "raw": item.raw if len(item.raw) <= LONGEST_KEPT else None,
        }
        return self.store.begin_verdict(task, values, facts(email, item.note)), email

    async def judge(self, verdict: int, email: EmailText) -> None:
        """Have the engine judge a kept mail, and keep what it says; of a failure, why, unless it was judged before.

        Raises:
            EngineError, WorkerDied: it could not.
            StorageError: the verdict could not be stored.
        """
        kept = self.store.verdict(verdict)
        if kept is None:
            return  # deleted meanwhile
        try:
            answer, probability, found = await (
                self._spam(email) if kept.task == SPAM_TASK else self._label(email, kept.task)
            )
        except (EngineError, AssistantError) as error:
            if not kept.answer:  # what was said of it before is worth more than why it could not be said again
                self.store.finish_verdict(verdict, "", 0.0, {**kept.details, "error": str(error)})
            raise
        self.store.finish_verdict(verdict, answer, probability, {**_without(kept.details), **found})

    async def again(self, kept: Kept) -> int:
        """Judge a kept mail anew, under the settings of now. Returns its verdict: a new one where the mail is read
        otherwise than by the homespun that kept it.

        Raises:
            UsageError: the mail itself was too large to be kept.
            EngineError, WorkerDied, StorageError: as `judge`.
        """
        if kept.raw is None:
            raise UsageError("This mail was too large to keep as it came. Open its file again.")
        email = await asyncio.to_thread(normalise, kept.raw)
        verdict = kept.id
        if email.version != kept.normaliser:
            verdict, email = await self.keep(Item(kept.name, kept.raw), kept.task)
        await self.judge(verdict, email)
        return verdict

    async def _spam(self, email: EmailText) -> tuple[str, float, dict[str, Any]]:
        using, rate = self.settings.in_use(), self.settings.rate
        row, answer = await self._ask(email, str(using.folder or ""), rate, evidence=True)
        spans = [[*email.where(start, end), weight] for start, end, weight in row["evidence"]]
        found: dict[str, Any] = {
            "threshold": row["threshold"],
            "false_alarms": rate,
            "scorer": answer.scorer,
            "kind": answer.scorer_kind,
            "evidence": spans,
        }
        if using.note:
            found["scorer_note"] = using.note
        found["reading"] = decisive(email, row)
        if answer.scorer_kind != "classical" and CLASSICAL.is_dir():
            beside, by = await self._ask(email, str(CLASSICAL), rate, evidence=False)
            found["beside"] = {key: beside[key] for key in ("answer", "probability")}
            found["beside"] |= {"scorer": by.scorer, "kind": by.scorer_kind}
        return row["answer"], row["probability"], found

    async def _label(self, email: EmailText, task: str) -> tuple[str, float, dict[str, Any]]:
        chosen = self.sets.read(task)
        if self._labeller is None or self._labeller[0] != self.client.model or self._labeller[1].chosen != chosen:
            self._labeller = self.client.model, Labeller(self.client, chosen)
        found = (await self._labeller[1].label([readable(email)]))[0]
        details = {"labels": [list(row) for row in found.rows], "scorer": task, "kind": found.method}
        return found.label, found.probability, {**details, "label_notes": list(found.notes)}

    def correct(self, kept: Kept, label: str) -> None:
        """Keep what a person says it is, "" for nothing; for labels other than spam it becomes one more example, or
        is one no more.

        Raises:
            StorageError: it could not be written down.
        """
        self.store.label_verdict(kept.id, label)
        if kept.task != SPAM_TASK:
            with suppress(UsageError):  # a model from elsewhere has no examples
                chosen, text = self.sets.read(kept.task), kept.shown[kept.details.get("offset", 0) :].strip()
                if label:
                    self.sets.add(chosen, Example(text, label))
                else:
                    self.sets.withdraw(chosen, Example(text, kept.label))

    def delete(self, kept: Kept) -> None:
        """Delete a verdict with its mail for good, also where that has become an example.

        Raises:
            StorageError: it could not be.
        """
        if kept.label:
            self.correct(kept, "")
        self.store.delete_verdict(kept.id)

    async def _ask(
        self, email: EmailText, scorer: str, rate: float, *, evidence: bool
    ) -> tuple[dict[str, Any], Verdicts]:
        others = (tuple(other.text for other in email.others),)
        asked = Classify("", (email.text,), scorer, rate, evidence, beside=(email.beside,), others=others)
        answer = await self.client.ask(asked)
        assert isinstance(answer, Verdicts)
        return answer.verdicts[0], answer


def facts(email: EmailText, note: str = "") -> dict[str, Any]:
    """What can be said of a mail without judging it."""
    findings = [[f.kind, printable(f.told), f.weight, f.start, f.end] for f in email.findings]
    notes = [printable(n) for n in ([note] if note else []) + list(email.notes)]
    return {"findings": findings, "notes": notes, "offset": email.offset}


def pasted(text: str) -> Item:
    """A text that somebody typed or pasted."""
    raw = text.encode("utf-8", "replace")
    return Item("", raw, len(raw))


def _without(details: dict[str, Any]) -> dict[str, Any]:
    """The facts that stay whoever judges."""
    return {key: details[key] for key in ("findings", "notes", "offset") if key in details}
