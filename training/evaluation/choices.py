"""Multiple choice by likelihood: the model answers with the choice it finds likeliest behind the question.

Nothing is generated, so models that were never taught to pick a letter can be asked (Brown et al. 2020; the measures
are those of EleutherAI's harness).
"""

from __future__ import annotations

import bz2
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from engine.errors import EngineError
from engine.files.model_folder import LoadedModel
from engine.run.scoring import score_continuations
from training.errors import TrainingError
from training.evaluation.calibration import expected_error, reliability, softmax
from training.evaluation.likelihood import beginning

SAMPLE = Path(__file__).parent / "choices.jsonl"
LISTED = re.compile(r"\n([A-H1-8])\) ")


@dataclass(frozen=True)
class Question:
    question: str
    choices: tuple[str, ...]
    answer: int  # the right choice's place


@dataclass(frozen=True)
class Judged:
    """One question's choices as the model sees them."""

    sums: tuple[float, ...]  # log-probability of each choice, nats
    tokens: tuple[int, ...]
    bytes: tuple[int, ...]
    answer: int

    def best(self, norm: str) -> int:
        """The likeliest choice: by the sum, a byte, or a token."""
        sizes = {"sum": (1,) * len(self.sums), "byte": self.bytes, "token": self.tokens}[norm]
        return max(range(len(self.sums)), key=lambda i: self.sums[i] / max(sizes[i], 1))


def read_questions(path: Path = SAMPLE, limit: int = 0) -> tuple[list[Question], int]:
    """(questions in `path`, lines that are none). A line is {"question", "choices", "answer"} (its place, or the choice
    itself), or {"instruction", "output"} with the choices as lines "A) …" below the question, as in instruction data.

    Raises:
        TrainingError: the file is missing, no JSON lines, or has no question at all.
    """
    questions: list[Question] = []
    skipped = 0
    try:
        text = bz2.decompress(path.read_bytes()).decode() if path.suffix == ".bz2" else path.read_text(encoding="utf-8")
        for line in text.splitlines():
            if not line.strip():
                continue
            question = _from_row(json.loads(line))
            if question is None:
                skipped += 1
            else:
                questions.append(question)
            if limit and len(questions) >= limit:
                break
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else f"it is no JSON lines ({error})"
        raise TrainingError(f"The questions in {path} cannot be read: {what}.") from error
    if not questions:
        raise TrainingError(f"{path} has no question with choices and an answer among them.")
    return questions, skipped


def _from_row(row: Any) -> Question | None:
    if not isinstance(row, dict):
        return None
    choices = row.get("choices")
    if isinstance(choices, list) and isinstance(row.get("question"), str):
        answer = row.get("answer")
        place = choices.index(answer) if answer in choices else answer
        if not isinstance(place, int) or not 0 <= place < len(choices) or len(choices) < 2:
            return None
        return Question(row["question"], tuple(map(str, choices)), place)
    parts = LISTED.split(str(row.get("instruction", "")))
    listed = dict(zip(parts[1::2], (choice.strip() for choice in parts[2::2]), strict=True))
    mark, _, text = str(row.get("output", "")).partition(") ")
    if len(listed) < 2 or listed.get(mark) != text.strip():
        return None
    return Question(parts[0].strip(), tuple(listed.values()), list(listed).index(mark))


def prompt(loaded: LoadedModel, question: str) -> tuple[list[int], str]:
    """(tokens before the answer, what stands between them and it): the question as a chat's, or as a text's."""
    if loaded.template is not None:
        return loaded.template.encode([{"role": "user", "content": question}], answer=True), ""
    return [*beginning(loaded.tokenizer), *loaded.tokenizer.encode(f"Question: {question}\nAnswer:")], " "


def judge(loaded: LoadedModel, question: Question) -> Judged:
    """The log-probability of each choice behind the question.

    Raises:
        PromptTooLongError: they do not fit the model's context.
    """
    context, space = prompt(loaded, question.question)
    choices = [loaded.tokenizer.encode(space + choice, first=False) for choice in question.choices]
    scores = score_continuations(loaded.model, context, choices)
    return Judged(
        tuple(map(sum, scores)),
        tuple(map(len, choices)),
        tuple(len(choice.encode()) for choice in question.choices),
        question.answer,
    )


def ask_choices(loaded: LoadedModel, questions: Sequence[Question]) -> dict[str, Any]:
    """Accuracy by the likeliest choice in sum, a byte and a token, each with its standard error; chance; and how honest
    the choices' shares (by the sum) are."""
    judged, too_long = [], 0
    for question in tqdm(questions, desc="multiple choice", mininterval=1.0, disable=None):
        try:
            judged.append(judge(loaded, question))
        except EngineError:
            too_long += 1
    count = len(judged)
    result: dict[str, Any] = {"questions": count, "too_long": too_long}
    for norm in ("sum", "byte", "token"):
        accuracy = sum(j.best(norm) == j.answer for j in judged) / max(count, 1)
        result[f"accuracy_{norm}"] = round(accuracy, 4)
        result[f"accuracy_{norm}_error"] = round(math.sqrt(accuracy * (1 - accuracy) / max(count - 1, 1)), 4)
    result["chance"] = round(sum(1 / len(j.sums) for j in judged) / max(count, 1), 4)
    result |= _calibration(judged)
    return result


def _calibration(judged: Sequence[Judged]) -> dict[str, Any]:
    widest = max((len(j.sums) for j in judged), default=2)
    shares = np.zeros((len(judged), widest))
    for row, j in zip(shares, judged, strict=True):
        row[: len(j.sums)] = softmax(np.array(j.sums))
    bins = reliability(shares, np.array([j.answer for j in judged], np.int64)) if judged else []
    return {"expected_error": round(expected_error(bins), 4), "bins": [vars(b) for b in bins]}
