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
# Log-odds that another reading of a mail loses: nobody may ever see it, and of several one is the worst by chance. Of
# 178 long honest mails, whose middles are such readings, 3 were likelier spam than not without them and 18, 5, 3, 3
# with them at 0, 1, 2 and 3; of 4,606 mails of all kinds 135 and, at 2, 138. Spam that is hidden, attached or beside
# honest text is 6 to 10 log-odds from that.
OTHER = 2.5

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
    reading: int | None = None  # which of the mail's other readings the probability is of; None: of its text


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
        others: Sequence[Sequence[str]] = (),
    ) -> list[Verdict]:
        """A verdict on each of `texts`, at a false-alarm rate (0 … 1) measured on held-out mail.

        With `evidence`; on mail that is not spam only if `honest`. `beside`, where there is any, are log-odds a text
        that what is known besides the text adds: `EmailText.beside`. `others`, where there are any, are what else each
        mail says, `EmailText.others`: the one that is most like spam counts where it is OTHER more so than the text.
        """
        threshold = threshold_for(false_alarms, self.config["thresholds"])
        verdicts = []
        found = self.probabilities(texts).tolist()
        more = iter(self.probabilities(every).tolist() if (every := [one for each in others for one in each]) else ())
        rows = zip(texts, found, beside or [0.0] * len(texts), others or [()] * len(texts), strict=True)
        for text, alone, added, beyond in rows:
            likely = [alone, *(moved(next(more), -OTHER) for _ in beyond)]
            place = likely.index(max(likely))
            probability = moved(likely[place], added)
            answer = decide(probability, threshold)
            wanted = evidence and (honest or answer != "not spam")
            passages = self.evidence(text) if wanted else ()
            verdicts.append(Verdict(answer, probability, threshold, passages, place - 1 if place else None))
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
