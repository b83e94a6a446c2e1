"""The `evaluate` stage: how good the tuned model is, in the precision and with the sampling it will run with.

Bits per byte on held-out documents, a fixed set of checks, and replies to fixed prompts; all into `evaluation.json`,
from which `card.py` makes the model's card.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from engine.chat_template import ChatTemplate
from engine.device import choose
from engine.fuse import fuse
from engine.generate import Generator
from engine.model import GPT
from engine.model_folder import LoadedModel
from engine.protocol import Delta, Done, Generate, SamplingParams
from engine.tokenizer import Tokenizer
from training.data.batches import PackedRows
from training.data.documents import as_text
from training.data.prepare import documents_path
from training.data.shards import open_shard
from training.data.vocabulary import open_vocabulary
from training.events import EventLog, read_events
from training.loop.train import bits_per_byte
from training.recipe import Recipe, Source
from training.stages.language import first_batches
from training.stages.start import checkpoint, trained

CHECKS = Path(__file__).parent / "checks.toml"
SEEDS = (1, 2, 3)
LONGEST = 200  # tokens of a reply


@dataclass(frozen=True)
class Reply:
    text: str
    ended: bool  # by itself, not by running out of tokens


@dataclass(frozen=True)
class Check:
    group: str
    chat: tuple[str, ...]  # user, assistant, …, user
    pattern: str

    def passes(self, reply: Reply) -> bool:
        found = re.search(self.pattern, reply.text, re.IGNORECASE | re.DOTALL)
        return bool(found) and reply.ended and not loops(reply.text)


def evaluate(recipe: Recipe, run: Path, device: torch.device) -> dict[str, Any]:
    """Measure the run's tuned model; returns and writes `run/evaluation.json`.

    Raises:
        RecipeError: the model has not been tuned yet.
    """
    tokenizer, model = load_tuned(recipe, run)
    place = choose(device.type, "auto")
    model = model.to(device=device, dtype=torch.bfloat16).to(place.dtype).eval().requires_grad_(False)
    model.make_rope(device)  # `to` rounded the tables as well; they are never stored and stay fp32
    result: dict[str, Any] = {"pretrain": _stage_numbers(run, "pretrain"), "sft": _stage_numbers(run, "sft")}
    result["parameters"] = model.parameter_count()
    result["device"] = place.note
    result["bits_per_byte"] = _per_source(recipe, run, model.float(), tokenizer, device)
    model = model.to(place.dtype)
    model.make_rope(device)
    fused = fuse(model, place.precision)  # the checks are of what a person will talk to
    end_tokens = frozenset(tokenizer.special_tokens.values())
    generator = Generator(LoadedModel(recipe.export.name, fused, tokenizer, ChatTemplate(tokenizer), end_tokens))
    prompts, checks = load_checks()
    result["replies"] = [[p, answer(generator, recipe, (p,), seed=1).text] for p in prompts]
    result["checks"] = run_checks(generator, recipe, checks, seen_questions(recipe, run))
    (run / "evaluation.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    score = {group: f"{row['passed']}/{row['tried']}" for group, row in result["checks"]["groups"].items()}
    EventLog(run / "events.jsonl").write("evaluated", score=score, bits_per_byte=result["bits_per_byte"])
    print("checks passed: " + "  ".join(f"{group} {value}" for group, value in score.items()))
    return result


def load_tuned(recipe: Recipe, run: Path) -> tuple[Tokenizer, GPT]:
    """(tokenizer, model) of the run's tuned weights, preferences after instructions; additions (LoRA) are merged.

    Raises:
        RecipeError: there are none yet.
    """
    stage = "dpo" if checkpoint(run, "dpo").exists() else "sft"
    model = trained(recipe, run, stage)
    return open_vocabulary(run, recipe.base.model).tokenizer, model


def load_checks(path: Path = CHECKS) -> tuple[list[str], list[Check]]:
    """(the card's prompts, the checks) in `path`."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    checks = [
        Check(group, (prompt,) if isinstance(prompt, str) else tuple(prompt), pattern)
        for group, rows in data["checks"].items()
        for prompt, pattern in rows
    ]
    return data["prompts"], checks


def answer(generator: Generator, recipe: Recipe, chat: tuple[str, ...], seed: int) -> Reply:
    """The model's reply to `chat` with the settings it ships with."""
    roles = ("user", "assistant")
    messages = tuple({"role": roles[i % 2], "content": text} for i, text in enumerate(chat))
    e = recipe.export
    longest = min(LONGEST, recipe.model.context_length // 2)
    params = SamplingParams(
        e.temperature, top_p=e.top_p, repetition_penalty=e.repetition_penalty, max_tokens=longest, seed=seed
    )
    text, ended = "", False
    for event in generator.reply(Generate("check", messages, params)):
        if isinstance(event, Delta):
            text += event.text
        elif isinstance(event, Done):
            ended = event.reason == "stop"
    return Reply(text.strip(), ended)


def run_checks(generator: Generator, recipe: Recipe, checks: list[Check], seen: set[str]) -> dict[str, Any]:
    """Every check with every seed: passed and tried by group, apart for questions training has seen word for word."""
    groups: dict[str, Counter[str]] = {}
    rows, loop_count = [], 0
    for check in tqdm(checks, desc="checks", mininterval=1.0):
        known = plain(check.chat[-1]) in seen
        for seed in SEEDS:
            reply = answer(generator, recipe, check.chat, seed)
            passed = check.passes(reply)
            count = groups.setdefault(check.group, Counter(passed=0, tried=0, passed_unseen=0, tried_unseen=0))
            count.update(passed=passed, tried=1, passed_unseen=passed and not known, tried_unseen=not known)
            loop_count += loops(reply.text) or not reply.ended
            rows.append({"chat": check.chat, "seed": seed, "reply": reply.text, "passed": passed, "seen": known})
    return {
        "groups": {group: dict(count) for group, count in groups.items()},
        "loops_or_endless": loop_count,
        "seeds": len(SEEDS),
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


def seen_questions(recipe: Recipe, run: Path) -> set[str]:
    """Every user turn in the run's training documents, plain."""
    seen: set[str] = set()
    for source in recipe.data.sources:
        with documents_path(run, "train", source.name).open(encoding="utf-8") as file:
            for line in file:
                document = json.loads(line)
                if "messages" in document:
                    seen.update(plain(m["content"]) for m in document["messages"] if m["role"] == "user")
                elif len(as_text(document)) < 200:
                    seen.add(plain(as_text(document)))
    return seen


def _per_source(recipe: Recipe, run: Path, model: GPT, tokenizer: Tokenizer, device: torch.device) -> dict[str, float]:
    """Bits per byte of each source's held-out documents that fill a batch, every token counted, chats included."""
    sizes = torch.tensor([len(tokenizer.token_bytes(t)) for t in range(tokenizer.vocab_size)])
    result = {}
    for source in recipe.data.sources:
        once = [Source(source.name, source.path, source.licence)]
        rows = PackedRows([open_shard(run, "valid", source.name)], once, recipe.pretrain)
        if batches := first_batches(rows, recipe.pretrain):
            result[source.name] = round(bits_per_byte(model, batches, sizes, device), 4)
    return result


def _stage_numbers(run: Path, stage: str) -> dict[str, Any]:
    """Tokens, seconds and last held-out bits per byte of a finished stage, from its own log."""
    numbers: dict[str, Any] = {}
    for event in read_events(run / stage / "events.jsonl"):
        if event["kind"] == "end":
            numbers |= {key: event[key] for key in ("step", "tokens", "seconds")}
        elif event["kind"] == "valid":
            numbers["bits_per_byte"] = round(event["bits_per_byte"], 4)
    return numbers
