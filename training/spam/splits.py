"""The splits that a spam scorer is measured on: at random, by time, by source, the book's, and rewritten spam.

A split is a pure function of the corpora and a seed, so that whatever is trained elsewhere can be measured on it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.email_text.normalise import for_model, normalise
from training.errors import TrainingError
from training.spam.corpora import CORPORA, Mail, read_corpus
from training.spam.rewrites import REWRITES, UNSEEN

NAMES = ("random-1", "random-2", "random-3", "time", "without-enron", "without-sms", "without-spamassassin", "sms-book")
MOST_OF_A_SOURCE = 8000  # mails of one source in a split by source; Enron has three times as many
REWRITTEN = 200


@dataclass(frozen=True)
class Example:
    """One mail as scorers get it."""

    raw: str  # subject and body as they were sent
    spam: bool
    source: str
    html: bool = False  # `raw` is HTML
    subject: str = ""
    body: str = ""

    @cached_property
    def text(self) -> str:
        """The normaliser's text of it."""
        if self.html:
            return normalise(f"Content-Type: text/html; charset=utf-8\n\n{self.raw}").text
        return for_model(self.body, self.subject)


@dataclass(frozen=True)
class Split:
    name: str
    train: list[Example]
    test: list[Example]


def example(mail: Mail) -> Example:
    return Example(f"{mail.subject}\n{mail.text}", mail.spam, mail.source, subject=mail.subject, body=mail.text)


class Corpora:
    """The corpora in `folder`, each read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mails: dict[str, list[Mail]] = {}

    def mails(self, source: str) -> list[Mail]:
        if source not in self._mails:
            self._mails[source] = read_corpus(source, self.folder)
        return self._mails[source]

    def split(self, name: str) -> Split:
        """The split called `name`, one of NAMES.

        Raises:
            TrainingError: there is none of that name, or its corpus is missing.
        """
        if name.startswith("random-"):
            return _random(name, self.mails("spamassassin"), int(name.rpartition("-")[2]))
        if name == "time":
            return _by_time(self.mails("spamassassin"))
        if name == "sms-book":
            return _book(self.mails("sms"))
        left_out = name.removeprefix("without-")
        if left_out not in CORPORA:
            raise TrainingError(f"There is no split {name!r}; there are {', '.join(NAMES)}.")
        train = [e for source in CORPORA if source != left_out for e in sample(self.mails(source), MOST_OF_A_SOURCE)]
        return Split(name, train, sample(self.mails(left_out), MOST_OF_A_SOURCE))


def sample(mails: Sequence[Mail], most: int, seed: int = 0) -> list[Example]:
    """At most `most` of `mails` as examples, drawn by `seed`."""
    drawn = random.Random(seed).sample(list(mails), most) if len(mails) > most else mails
    return [example(mail) for mail in drawn]


def _random(name: str, mails: Sequence[Mail], seed: int) -> Split:
    examples = [example(mail) for mail in mails]
    random.Random(seed).shuffle(examples)
    cut = len(examples) * 4 // 5
    return Split(name, examples[:cut], examples[cut:])


def _by_time(mails: Sequence[Mail]) -> Split:
    """The first 70 % of each kind, by its own date, to train on and the rest to test.

    By kind, because the spam was gathered over other months than the honest mail: one date for both would leave next to
    no honest mail on one side. Mails whose date cannot be true are left out.
    """
    train: list[Example] = []
    test: list[Example] = []
    for spam in (False, True):
        dated = sorted(((m.sent, i) for i, m in enumerate(mails) if m.sent and m.spam == spam), key=lambda pair: pair)
        cut = len(dated) * 7 // 10
        train += [example(mails[i]) for _, i in dated[:cut]]
        test += [example(mails[i]) for _, i in dated[cut:]]
    return Split("time", train, test)


def _book(mails: Sequence[Mail]) -> Split:
    """Raschka (2024), chapter 6: as many honest messages as spam, shuffled with seed 123, 70 % / 10 % / 20 %.

    The book has 747 of each; without doubles fewer remain. Its 10 % for validation are not used here.
    """
    spam = [mail for mail in mails if mail.spam]
    ham = random.Random(123).sample([mail for mail in mails if not mail.spam], len(spam))
    examples = [example(mail) for mail in spam + ham]
    random.Random(123).shuffle(examples)
    return Split("sms-book", examples[: int(len(examples) * 0.7)], examples[int(len(examples) * 0.8) :])


def rewritten(split: Split, seed: int = 0) -> dict[str, list[Example]]:
    """For each way of rewriting, the same 200 test spams of `split`, disguised that way; "none": as they were."""
    rng = random.Random(seed)
    spams = [e for e in split.test if e.spam and len(e.body) > 40]
    chosen = rng.sample(spams, min(REWRITTEN, len(spams)))
    ham = [e.body for e in split.train if not e.spam]
    result = {"none": chosen}
    for name, rewrite in (REWRITES | UNSEEN).items():
        result[name] = []
        for number, old in enumerate(chosen):
            body, subject, html = rewrite(old.body, old.subject, random.Random(f"{seed}/{name}/{number}"), ham)
            raw = body if html else f"{subject}\n{body}"
            result[name].append(Example(raw, True, old.source, html, subject, body))
    return result
