"""What a run changed: the same questions to the old and to the new model, in the precision and sampling they run with.

Owns which questions, and the numbers; how a person sees them is the app's business. General checks and their patterns
are `evaluation/checks.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.catalog import base_of, is_adapter, sampling_defaults
from engine.files.adapter import WEIGHTS, fingerprint
from engine.files.model_folder import LoadedModel, load_fused
from engine.protocol import SamplingParams
from engine.questions import Batch, Replies
from engine.run.answers import answer
from engine.run.device import choose
from engine.run.generate import Generator
from training.data.prepare import documents_path
from training.evaluation.checks import Reply, load_checks
from training.evaluation.likelihood import score_documents
from training.tuning.rephrase import SMALL

TOGETHER = 24  # replies that are made at once
CHECK_SEEDS = (1, 2, 3)  # of one alone the sum is off by three points
MOST_TAUGHT = 64  # taught examples that are asked for, evenly out of all
OWN_PROMPTS, FIXED_PROMPTS = 8, 6  # shown side by side
MEASURED = ".measured.json"  # beside the runs: general numbers of models that were measured before
HELD_OUT_TOKENS = 16_384
LONGEST = 96  # tokens of a reply
Tell = Callable[[str], None]


class Asked:
    """A model that is asked many things."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.path = path
        self.loaded: LoadedModel = load_fused(path, choose(device))
        self.generator = Generator(self.loaded)
        self.params: SamplingParams = sampling_defaults(path)

    def replies(self, chats: Sequence[Sequence[str]], *, greedy: bool, seed: int = 1) -> list[Reply]:
        """A reply to each chat (user, assistant, …, user)."""
        params = replace(self.params, max_tokens=min(LONGEST, self.generator.context_length // 2), seed=seed)
        if greedy:
            params = replace(params, temperature=0.0)
        order = sorted(range(len(chats)), key=lambda i: len(" ".join(chats[i])))
        found: dict[int, Reply] = {}
        for start in range(0, len(order), TOGETHER):
            part = order[start : start + TOGETHER]
            asked = tuple([_message(i, text) for i, text in enumerate(chats[index])] for index in part)
            made = answer(self.generator, Batch("m", asked, params), lambda: False)
            assert isinstance(made, Replies)
            for index, reply in zip(part, made.replies, strict=True):
                found[index] = Reply(str(reply["text"]).strip(), reply["reason"] == "stop")
        return [found[i] for i in range(len(chats))]


def _message(index: int, text: str) -> dict[str, str]:
    return {"role": ("user", "assistant")[index % 2], "content": text}


def general(asked: Asked) -> dict[str, Any]:
    """The checks that every model here is asked, with several seeds: how many are passed, by group and in all."""
    _, checks = load_checks()
    groups: dict[str, list[int]] = {}
    for seed in CHECK_SEEDS:
        for check, reply in zip(checks, asked.replies([c.chat for c in checks], greedy=False, seed=seed), strict=True):
            row = groups.setdefault(check.group, [0, 0])
            row[0] += check.passes(reply)
            row[1] += 1
    passed, tried = (sum(row[i] for row in groups.values()) for i in (0, 1))
    return {"passed": passed, "tried": tried, "percent": round(100 * passed / tried, 1), "groups": groups}


def remembered(asked: Asked, path: Path) -> dict[str, Any]:
    """`general`, or what `path` remembers of the same weights, for a base is the old model of many runs."""
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        known = json.loads(path.read_text(encoding="utf-8"))
    mark = f"{mark_of(asked.path)} {CHECK_SEEDS} {LONGEST}"
    if mark not in known:
        known = {**known, mark: general(asked)}
        with suppress(OSError):
            path.write_text(json.dumps(known) + "\n", encoding="utf-8")
    found: dict[str, Any] = known[mark]
    return found


def mark_of(path: Path) -> str:
    """Tells the weights of the model at `path` from others."""
    if not is_adapter(path):
        return fingerprint(path)
    additions = hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest()
    return f"{fingerprint(base_of(path))} {additions}"


def taught(asked: Asked, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How many of (question, answer) `pairs` are answered right, greedily."""
    every = max(len(pairs) / MOST_TAUGHT, 1.0)
    some = [pairs[int(i * every)] for i in range(min(len(pairs), MOST_TAUGHT))]
    replies = asked.replies([(question,) for question, _ in some], greedy=True)
    rows = [
        {"question": q, "answer": a, "reply": r.text, "right": right(r.text, q, a)}
        for (q, a), r in zip(some, replies, strict=True)
    ]
    passed = sum(bool(row["right"]) for row in rows)
    return {"passed": passed, "tried": len(rows), "percent": round(100 * passed / max(len(rows), 1), 1), "rows": rows}


def right(reply: str, question: str, wanted: str) -> bool:
    """Whether `reply` says what `wanted` says: its words that are not in the question, all of a few, most of many."""
    said, asked = set(_words(reply)), set(_words(question))
    keys = [w for w in dict.fromkeys(_words(wanted)) if w not in asked and w not in SMALL]
    keys = keys or list(dict.fromkeys(_words(wanted)))
    found = sum(key in said for key in keys)
    return found == len(keys) if len(keys) <= 6 else found >= 0.7 * len(keys)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def lengths(asked: Asked, prompts: Sequence[str]) -> float:
    """Words of a reply, on average, greedily."""
    replies = asked.replies([(prompt,) for prompt in prompts], greedy=True)
    return round(sum(len(r.text.split()) for r in replies) / max(len(replies), 1), 1)


def held_out(asked: Asked, run: Path, names: Sequence[str]) -> dict[str, float]:
    """Bits per byte of what the run has not learned from, by source; sources without such documents are left out."""
    result = {}
    for name in names:
        path = documents_path(run, "valid", name)
        if path.is_file() and path.stat().st_size:
            with path.open(encoding="utf-8") as file:
                score = score_documents(asked.loaded, map(json.loads, file), HELD_OUT_TOKENS)
            if score.tokens:
                result[name] = round(float(score.to_dict()["bits_per_byte"]), 4)
    return result


def fixed_prompts() -> list[str]:
    """What every old and new model are compared on."""
    prompts, _ = load_checks()
    every = max(len(prompts) // FIXED_PROMPTS, 1)
    return list(prompts[::every][:FIXED_PROMPTS])


def measure(path: Path, run: Path, plan: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """All numbers of the model at `path` that `plan` (`run/laid.json`) asks for.

    Raises:
        EngineError: it cannot be opened.
    """
    asked = Asked(path)
    result: dict[str, Any] = {"model": str(path)}
    tell("reading what was held out")
    result["held_out"] = held_out(asked, run, plan["sources"])
    if pairs := plan.get("pairs"):
        tell("asking what was taught")
        result["taught"] = taught(asked, [tuple(pair) for pair in pairs])
    if apart := plan.get("held_out_pairs"):
        result["untaught"] = taught(asked, [tuple(pair) for pair in apart])
    if asks := plan.get("length_prompts"):
        tell("measuring the length of replies")
        result["words"] = lengths(asked, asks)
    tell("asking general questions")
    result["general"] = remembered(asked, run.parent / MEASURED)
    own = plan["prompts"][:OWN_PROMPTS]
    prompts = [*own, *fixed_prompts()]
    replies = asked.replies([(prompt,) for prompt in prompts], greedy=False)
    result["replies"] = [[p, r.text, i < len(own)] for i, (p, r) in enumerate(zip(prompts, replies, strict=True))]
    return result
