"""The worker's side of Classify: keeps the judge that was asked last and puts its verdicts into a message."""

from __future__ import annotations

import math
from pathlib import Path

from engine.errors import ProtocolError
from engine.questions import Classify, Verdicts
from engine.spam.judge import SpamJudge
from engine.spam.loading import load_judge


class Judges:
    """Spam judges by folder; the last two stay in memory: one that judges, and one that is shown beside it."""

    def __init__(self) -> None:
        self._judges: dict[str, SpamJudge] = {}

    def answer(self, message: Classify) -> Verdicts:
        """The verdicts that `message` asks for.

        Raises:
            ModelFolderError: the scorer cannot be opened.
            ProtocolError: a false-alarm rate that cannot be, or not one number beside each text, or one list of others.
        """
        if not (0 <= message.false_alarms <= 1) or math.isnan(message.false_alarms):
            raise ProtocolError("The rate of false alarms must be between 0 and 1.")
        if message.beside and (
            len(message.beside) != len(message.texts) or not all(map(math.isfinite, message.beside))
        ):
            raise ProtocolError("There must be one number beside each text.")
        if message.others and len(message.others) != len(message.texts):
            raise ProtocolError("There must be one list of other readings for each text.")
        judge = self._judges.pop(message.scorer, None)
        if judge is None:
            judge = load_judge(Path(message.scorer) if message.scorer else None)
        self._judges = {**dict(list(self._judges.items())[-1:]), message.scorer: judge}
        verdicts = judge.judge(
            message.texts,
            message.false_alarms,
            evidence=message.evidence,
            honest=message.honest,
            beside=message.beside,
            others=message.others,
        )
        rows = [
            {
                "answer": verdict.answer,
                "probability": verdict.probability,
                "threshold": verdict.threshold,
                "reading": verdict.reading,
                "evidence": [[e.start, e.end, e.weight] for e in verdict.evidence],
            }
            for verdict in verdicts
        ]
        return Verdicts(message.request, tuple(rows), judge.name, judge.kind)
