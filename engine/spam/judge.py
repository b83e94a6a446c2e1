"""SpamJudge: mails' texts → calibrated verdicts with evidence, whichever scorer is behind it.

Owns what a verdict is and how a probability becomes one of three answers. How a mail becomes the text that is judged is
`email_text`; the scorers are `hashed_scorer.py` (classical) and `stacked_scorer.py` (a network and the former), and
`loading.py` opens them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engine.email_text.normalise import VERSION
from engine.errors import ModelFolderError

if TYPE_CHECKING:
    import numpy as np

DEFAULT_FALSE_ALARMS = 0.001  # one honest mail in a thousand
MOST_EVIDENCE = 12

Answer = Literal["spam", "not spam", "unsure"]


@dataclass(frozen=True)
class Evidence:
    """A passage of the judged text and how far it moved the verdict, in log-odds: above 0 towards spam."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Verdict:
    answer: Answer
    probability: float  # that it is spam, calibrated
    threshold: float  # from this probability on it is called spam
    evidence: tuple[Evidence, ...] = ()  # the heaviest first


class SpamJudge(Protocol):
    """What judges. Texts are the normaliser's, of the version that the judge was trained on."""

    name: str
    kind: Literal["classical", "neural"]
    config: dict[str, Any]  # with `thresholds`, see `threshold_for`

    def judge(
        self,
        texts: Sequence[str],
        false_alarms: float = DEFAULT_FALSE_ALARMS,
        *,
        evidence: bool = True,
        honest: bool = True,
        beside: Sequence[float] = (),
    ) -> list[Verdict]:
        """A verdict on each of `texts`, at a false-alarm rate (0 … 1) measured on held-out mail.

        With `evidence`; on mail that is not spam only if `honest`. `beside`, where there is any, are log-odds a text
        that what is known besides the text adds: `EmailText.beside`.
        """
        threshold = threshold_for(false_alarms, self.config["thresholds"])
        verdicts = []
        found = self.probabilities(texts).tolist()
        for text, alone, added in zip(texts, found, beside or [0.0] * len(texts), strict=True):
            probability = moved(alone, added)
            answer = decide(probability, threshold)
            wanted = evidence and (honest or answer != "not spam")
            verdicts.append(Verdict(answer, probability, threshold, self.evidence(text) if wanted else ()))
        return verdicts

    def evidence(self, text: str) -> tuple[Evidence, ...]:
        """What in `text` moved the verdict, the heaviest first."""
        ...

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[texts]: how likely each is spam, calibrated."""
        ...


def moved(probability: float, log_odds: float) -> float:
    """`probability` with `log_odds` added to its own."""
    if not log_odds or not 0 < probability < 1:
        return probability
    return 1 / (1 + math.exp(-(math.log(probability / (1 - probability)) + log_odds)))


def decide(probability: float, threshold: float) -> Answer:
    """Spam from the threshold on; "unsure" where spam is likelier than not and still below it; else not spam."""
    if probability >= threshold:
        return "spam"
    return "unsure" if probability >= 0.5 else "not spam"


def threshold_for(false_alarms: float, table: Sequence[Sequence[float]]) -> float:
    """The probability from which on at most a share `false_alarms` of honest mail is called spam.

    Args:
        table: [rate, probability] rows, measured on held-out honest mail, with rising rates. Rates between two rows get
            the stricter one; below the first row nothing has been measured, and its probability holds.
    """
    rates = [row[0] for row in table]
    index = bisect_left(rates, false_alarms + 1e-12) - 1
    return float(table[max(index, 0)][1])


def check_version(config: dict[str, Any], folder: Path) -> None:
    """Refuse a scorer that was trained on another normaliser's text.

    Raises:
        ModelFolderError: it was.
    """
    made_with = config.get("normaliser_version")
    if made_with != VERSION:
        raise ModelFolderError(
            f"The spam scorer {folder} was made for version {made_with} of the e-mail normaliser, and this is version "
            f"{VERSION}. Train it anew, or use the one that comes with homespun."
        )
