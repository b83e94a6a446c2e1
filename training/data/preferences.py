"""Preference pairs: a prompt with a better and a worse reply, encoded by the chat template, split by prompt."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.text.chat_template import ChatTemplate
from training.data.cleaning import clean_text
from training.data.grouping import check_split, held_out
from training.data.tables import read_table
from training.recipe import DPORecipe, RecipeError


@dataclass(frozen=True)
class Reply:
    """A whole chat as ids, and 1 where the reply in question is."""

    tokens: list[int]
    mask: list[int]


@dataclass(frozen=True)
class Pair:
    chosen: Reply
    rejected: Reply


@dataclass(frozen=True)
class PairSet:
    train: list[Pair]
    valid: list[Pair]
    report: dict[str, int]


def read_pairs(recipe: DPORecipe, root: Path, template: ChatTemplate) -> PairSet:
    """The pairs that `recipe` names below `root`. Those longer than its context are left out, and counted.

    Raises:
        RecipeError: no file, wrong columns, or no pair that can be learned from.
    """
    report: Counter[str] = Counter(kept=0, held_out=0, empty=0, same=0, double=0, too_long=0)
    split: dict[bool, list[Pair]] = {True: [], False: []}
    seen: set[str] = set()
    for row in read_table(root, recipe.files, ("prompt", "chosen", "rejected"), "[dpo] files"):
        chat, replies = as_chat(row["prompt"]), [_said(row[key]) for key in ("chosen", "rejected")]
        mark = json.dumps([chat, replies])
        fault = (
            "empty" if not chat or not all(replies) else
            "same" if replies[0] == replies[1] else
            "double" if mark in seen else ""
        )  # fmt: skip
        if fault:
            report[fault] += 1
            continue
        seen.add(mark)
        pair = Pair(*(encode_reply(template, chat, reply) for reply in replies))
        if max(len(pair.chosen.tokens), len(pair.rejected.tokens)) > recipe.context:
            report["too_long"] += 1
            continue
        split[held_out(json.dumps(chat), recipe.valid_percent)].append(pair)
    report["kept"], report["held_out"] = sum(map(len, split.values())), len(split[True])
    if not report["kept"]:
        dropped = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in report.items() if count)
        raise RecipeError(f"[dpo] {recipe.files!r} has no preference pair that can be learned from ({dropped}).")
    check_split(len(split[False]), len(split[True]), "preference pairs")
    return PairSet(split[False], split[True], dict(report))


def as_chat(prompt: Any) -> list[dict[str, str]]:
    """The chat before the reply: a text is one user's turn; a list are messages. Empty for what is neither."""
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list) or not all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in prompt):
        return []
    chat = [{"role": str(m["role"]), "content": clean_text(str(m["content"]))} for m in prompt]
    return chat if chat and all(m["content"] for m in chat) and chat[-1]["role"] == "user" else []


def _said(reply: Any) -> str:
    """The reply's text: given as such, or as a list of one message, as some sets have it."""
    if isinstance(reply, list):
        reply = reply[-1]["content"] if reply and isinstance(reply[-1], dict) else ""
    return clean_text(str(reply))


def encode_reply(template: ChatTemplate, chat: list[dict[str, str]], reply: str) -> Reply:
    """`chat` and `reply`: only the reply is counted, not what the assistant said before."""
    tokens, mask = template.encode_with_mask([*chat, {"role": "assistant", "content": reply}])
    before, _ = template.encode_with_mask(chat, answer=True)
    return Reply(tokens, [0] * len(before) + mask[len(before) :])
