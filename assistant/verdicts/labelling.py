"""Labeller: which of some labels a text has: by a classifier that was trained on them, or by the language model.

A classifier is asked unless the examples themselves tell better, which they often do where there are few: when it was
trained it was right for a share of some held out, and they are for a share of themselves, each left out once.

Without training there are two ways. With two examples of every label and more, the text is put to the nearest of them
in the model's vectors (`prototypes.py`), if these lie apart. Otherwise the model scores the labels: how likely each is
behind the text, with examples before it (few-shot) or without (zero-shot; Brown et al. 2020); what it says on average
of other texts is taken off, because small models prefer some words whatever they read (Zhao et al. 2021).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assistant.engine_client import EngineClient
from assistant.verdicts.examples import Example
from assistant.verdicts.label_sets import LabelSet, held_out
from assistant.verdicts.prototypes import Prototypes, softmax
from engine.email_text.normalise import EmailText
from engine.errors import EngineError
from engine.questions import Count, Counts, Embed, Embeddings, Label, Labels, Score, Scores

EMPTY = ("N/A", "…")  # texts that say nothing
MOST_SHOTS = 12  # examples that are shown to the language model
MOST_CALIBRATING = 8  # examples that say what it thinks on average
MOST_NEAR = 96  # examples whose vectors are compared
LONGEST_SHOT = 300  # characters of one
ANSWER_TOKENS = 24  # room for the longest label
SHARE_OF_SHOTS = 0.5  # of the context


@dataclass(frozen=True)
class Labelled:
    rows: tuple[tuple[str, float], ...]  # (label, probability), the likeliest first
    method: str  # in words
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.rows[0][0]

    @property
    def probability(self) -> float:
        return self.rows[0][1]


class Labeller:
    """Labels texts by `chosen`. What costs a question of its own is asked once."""

    def __init__(self, client: EngineClient, chosen: LabelSet) -> None:
        self._client, self.chosen = client, chosen
        self._ready = False
        self._trained = chosen.model is not None  # whether the classifier is asked
        self._near: Prototypes | None = None
        self._compared = 0  # examples whose vectors are
        self._shots: list[Example] = []
        self._usual: list[float] = []  # log-probability of each label behind other texts, on average
        self._room = 0  # tokens that are left for the text

    async def label(self, texts: Sequence[str]) -> list[Labelled]:
        """What each of `texts` is.

        Raises:
            EngineError, WorkerDied: the engine cannot say.
        """
        if not self._ready:
            await (self._compare() if self._trained else self._prepare())
            self._ready = True
        if self._trained:
            return await self._by_classifier(texts)
        if self._near is not None:
            return await self._by_vectors(texts, self._near)
        return [await self._by_score(text) for text in texts]

    async def _by_classifier(self, texts: Sequence[str]) -> list[Labelled]:
        answer = await self._client.ask(Label("", tuple(texts), str(self.chosen.model)))
        assert isinstance(answer, Labels)
        return [
            Labelled(
                ranked(answer.labels, row["probabilities"]),
                "fine-tuned",
                (f"It is long: {row['cut']:,} tokens at its end were not read.",) if row["cut"] else (),
            )
            for row in answer.rows
        ]

    async def _compare(self) -> None:
        """Go without the classifier where the nearest examples tell better."""
        right = held_out(self.chosen.model)[1] if self.chosen.model is not None else None
        if right is None or not self.chosen.can_learn:
            return
        try:
            await self._find_near()
        except EngineError:  # there is no language model, or it cannot say: the classifier can
            return
        self._trained = self._near is None or self._near.right <= right

    async def _prepare(self) -> None:
        """Choose between the two ways, and make what each needs."""
        await self._find_near()
        if self._near is None:
            await self._choose_shots(in_turn(self.chosen.examples, self.chosen.labels), self._room)

    async def _find_near(self) -> None:
        """Compare the examples' vectors, where there are enough; keep them if labels lie apart in them."""
        loaded = await self._client.load()
        ordered = in_turn(self.chosen.examples, self.chosen.labels)
        self._room = loaded.context_length
        if all(sum(e.label == label for e in ordered) >= 2 for label in self.chosen.labels):
            some = ordered[:MOST_NEAR]
            answer = await self._client.ask(Embed("", tuple(e.text for e in some), traits=True))
            assert isinstance(answer, Embeddings)
            names, labels = [e.label for e in some], self.chosen.labels
            near = await asyncio.to_thread(Prototypes, answer.vectors, names, labels)
            self._compared = len(some)
            if near.tells:
                self._near = near

    async def _choose_shots(self, ordered: list[Example], context: int) -> None:
        """As many examples as fit in half of the context; of the others some to calibrate on."""
        wanted = min(MOST_SHOTS, (len(ordered) + 1) // 2 if len(ordered) > 2 * len(self.chosen.labels) else MOST_SHOTS)
        sizes = await self._sizes([prompt([shot], "", self.chosen.labels) for shot in ordered[:wanted]])
        used = 0
        for shot, size in zip(ordered, sizes, strict=False):
            if used + size <= context * SHARE_OF_SHOTS:
                self._shots.append(shot)
                used += size
        question = (await self._sizes([prompt([], "", self.chosen.labels)]))[0]
        self._room = max(context - used - question - ANSWER_TOKENS, 16)
        others = [_one_line(e.text) for e in ordered[wanted : wanted + MOST_CALIBRATING]]
        scores = [await self._score(text) for text in others or EMPTY]
        self._usual = [sum(column) / len(column) for column in zip(*scores, strict=True)]

    async def _by_vectors(self, texts: Sequence[str], near: Prototypes) -> list[Labelled]:
        answer, sizes = await self._client.ask(Embed("", tuple(texts), traits=True)), await self._sizes(list(texts))
        assert isinstance(answer, Embeddings)
        how = (
            f"By the nearest of {self._compared} examples, {100 * near.right:.0f} % of which were right when left out."
        )
        notes = [how]
        if self.chosen.model is not None and (right := held_out(self.chosen.model)[1]) is not None:
            notes.append(f"The classifier that was trained on them is not asked: it was right for {100 * right:.0f} %.")
        told = []
        for vector, size in zip(answer.vectors, sizes, strict=True):
            long = [f"It is long: {size - self._room:,} tokens at its end were not read."] if size > self._room else []
            rows = ranked(near.labels, near.probabilities(vector))
            told.append(Labelled(rows, replace(self.chosen, model=None).method, (*notes, *long)))
        return told

    async def _by_score(self, text: str) -> Labelled:
        notes = []
        if self.chosen.examples:
            notes.append(
                f"{len(self._shots)} of {len(self.chosen.examples)} examples were shown to the language model."
            )
        size = (await self._sizes([text]))[0]
        if size > self._room:
            read = text[: int(len(text) * self._room / size * 0.9)]
            notes.append(f"It is long: {len(text) - len(read):,} characters at its end were not read.")
            text = read
        scores = await self._score(text)
        calibrated = [score - usual for score, usual in zip(scores, self._usual, strict=True)]
        return Labelled(ranked(self.chosen.labels, softmax(calibrated)), self.chosen.method, tuple(notes))

    async def _sizes(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        answer = await self._client.ask(Count("", tuple(texts)))
        assert isinstance(answer, Counts)
        return list(answer.tokens)

    async def _score(self, text: str) -> list[float]:
        """Log-probability of each label behind `text`, in nats."""
        labels = self.chosen.labels
        asked = ({"role": "user", "content": prompt(self._shots, text, labels)},)
        answer = await self._client.ask(Score("", asked, tuple(f" {label}" for label in labels), plain=True))
        assert isinstance(answer, Scores)
        return [sum(tokens) for tokens in answer.scores]


def prompt(shots: Sequence[Example], text: str, labels: Sequence[str]) -> str:
    """What stands before a label: the examples with theirs, then the text without."""
    head = "" if shots else f"Labels: {', '.join(labels)}\n\n"
    before = "".join(f"Text: {_one_line(shot.text)}\nLabel: {shot.label}\n\n" for shot in shots)
    return f"{head}{before}Text: {' '.join(text.split())}\nLabel:"


def in_turn(examples: Sequence[Example], labels: Sequence[str]) -> list[Example]:
    """The examples, one of each label in turn, the shortest of each first: the most fit, and none is favoured."""
    by_label = {label: sorted((e for e in examples if e.label == label), key=lambda e: len(e.text)) for label in labels}
    longest = max(map(len, by_label.values()), default=0)
    return [rows[place] for place in range(longest) for rows in by_label.values() if place < len(rows)]


def ranked(labels: Sequence[str], probabilities: Sequence[float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(zip(labels, probabilities, strict=True), key=lambda pair: -pair[1]))


def readable(email: EmailText) -> str:
    """The words of a mail or a text, for labels other than spam: subject and body as one reads them."""
    return email.shown[email.offset :].strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())[:LONGEST_SHOT]
