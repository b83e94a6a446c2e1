"""Asking the model a fixed set of questions and looking for words in its replies: `checks.toml`.

A check is necessary for a good answer, not sufficient. Instructions that are kept or not are `instructions.py`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine.errors import PromptTooLongError
from engine.protocol import Delta, Done, Generate, SamplingParams
from engine.run.generate import Generator

CHECKS = Path(__file__).parent / "checks.toml"
SEEDS = (1, 2, 3)
LONGEST = 200  # tokens of a reply


@dataclass(frozen=True)
class Reply:
    text: str
    ended: bool  # by itself, not by running out of tokens
    fits: bool = True  # the question, into the model's context


@dataclass(frozen=True)
class Check:
    group: str
    chat: tuple[str, ...]  # user, assistant, …, user
    pattern: str

    def passes(self, reply: Reply) -> bool:
        found = re.search(self.pattern, reply.text, re.IGNORECASE | re.DOTALL)
        return bool(found) and reply.fits and reply.ended and not loops(reply.text)


def load_checks(path: Path = CHECKS) -> tuple[list[str], list[Check]]:
    """(the card's prompts, the checks) in `path`."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    checks = [
        Check(group, (prompt,) if isinstance(prompt, str) else tuple(prompt), pattern)
        for group, rows in data["checks"].items()
        for prompt, pattern in rows
    ]
    return data["prompts"], checks


def answer(generator: Generator, params: SamplingParams, chat: Sequence[str], seed: int) -> Reply:
    """The model's reply to `chat` (user, assistant, …, user), sampled as `params` say, at most LONGEST tokens.

    It is empty where the model is too small for the question.
    """
    roles = ("user", "assistant")
    messages = tuple({"role": roles[i % 2], "content": text} for i, text in enumerate(chat))
    longest = min(LONGEST, generator.context_length // 2)
    text, ended = "", False
    try:
        for event in generator.reply(Generate("check", messages, replace(params, max_tokens=longest, seed=seed))):
            if isinstance(event, Delta):
                text += event.text
            elif isinstance(event, Done):
                ended = event.reason == "stop"
    except PromptTooLongError:
        return Reply("", ended=True, fits=False)
    return Reply(text.strip(), ended)


def run_checks(
    generator: Generator, params: SamplingParams, checks: Sequence[Check], seen: set[str] | None
) -> dict[str, Any]:
    """Every check with every seed: passed and tried by group, apart for questions training has seen word for word.

    `seen` None says that nobody knows what it has been trained on.
    """
    groups: dict[str, Counter[str]] = {}
    rows, loop_count, too_long = [], 0, 0
    for check in tqdm(checks, desc="checks", mininterval=1.0, disable=None):
        known = seen is not None and plain(check.chat[-1]) in seen
        for seed in SEEDS:
            reply = answer(generator, params, check.chat, seed)
            passed = check.passes(reply)
            count = groups.setdefault(check.group, Counter(passed=0, tried=0, passed_unseen=0, tried_unseen=0))
            count.update(passed=passed, tried=1, passed_unseen=passed and not known, tried_unseen=not known)
            too_long += not reply.fits
            loop_count += loops(reply.text) or not reply.ended
            rows.append({"chat": check.chat, "seed": seed, "reply": reply.text, "passed": passed, "seen": known})
    return {
        "groups": {group: dict(count) for group, count in groups.items()},
        "loops_or_endless": loop_count,
        "too_long": too_long,
        "seeds": len(SEEDS),
        "data_known": seen is not None,
        "rows": rows,
    }


def loops(text: str) -> bool:
    """Whether any four words in a row come three times or more."""
    words = plain(text).split()
    runs = Counter(tuple(words[i : i + 4]) for i in range(len(words) - 3))
    return max(runs.values(), default=0) >= 3


def plain(text: str) -> str:
    """Lower case, letters and digits only: equal for questions that differ in nothing but dress."""
    return " ".join(re.findall(r"\w+", text.lower()))
