"""The report on a run's data, for people: `data_report.md`, out of the reports of the stages. No number is typed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.mix import OFTEN, mix_table
from training.recipe import Recipe

REASONS = {
    "short": "shorter than min_characters",
    "broken": "a chat whose turns are empty or do not alternate",
    "duplicate": "equal to an earlier one but for case, spacing and punctuation",
    "near_duplicate": "nearly equal to an earlier one",
    "language": "in another language",
    "word_length": "its words are too short or too long on average",
    "symbols": "too many hash signs or ellipses",
    "few_letters": "too many words without a letter",
    "bullets": "nearly all lines are list items",
    "ellipses": "too many lines end with an ellipsis",
    "repeated_lines": "too much of it stands in lines that came before",
    "repetitive": "goes round in circles: it compresses too well",
    "stop_words": "has hardly any of the commonest words",
}


def write_report(recipe: Recipe, run: Path) -> Path:
    """Write `run/data_report.md` from what `prepare` and, where it is done, the tokenizer stage have reported."""
    data = json.loads((run / "data_report.json").read_text(encoding="utf-8"))
    parts = ["# Data", "## Documents\n\n" + _documents(data)]
    if (run / "tokens_report.json").exists():
        parts.append("## Tokens and mix\n\n" + _mix(recipe, run))
    if (run / "vocabulary_report.json").exists():
        parts.append("## Vocabulary\n\nBytes a token, special tokens aside; more is better.\n\n" + _vocabulary(run))
    parts.append("## What was dropped\n\n" + (_dropped(data) or "Nothing."))
    path = run / "data_report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _documents(data: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, row in data.items():
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in sorted(row["dropped"].items())) or "nothing"
        counts = (f"{row[key]:,}" for key in ("read", "kept", "valid", "characters"))
        rows.append((name, *counts, dropped))
    return table(("source", "read", "kept", "of them held out", "characters kept", "dropped"), rows)


def _mix(recipe: Recipe, run: Path) -> str:
    rows = []
    for part in mix_table(recipe, run):
        often = " (often)" if part.epochs > OFTEN else ""
        rows.append((part.name, f"{part.tokens:,}", f"{part.read:,}", f"{part.share:.1%}", f"{part.epochs:.2f}{often}"))
    return table(("source", "tokens", "tokens read in pretraining", "share of training", "epochs"), rows)


def _vocabulary(run: Path) -> str:
    report = json.loads((run / "vocabulary_report.json").read_text(encoding="utf-8"))
    names = list(next(iter(report.values()), {"own": 0}))
    rows = [(source, *(f"{row[name]:.2f}" if name in row else "" for name in names)) for source, row in report.items()]
    return table(("source", *names), rows)


def _dropped(data: dict[str, dict[str, Any]]) -> str:
    parts = []
    for name, row in data.items():
        for reason, examples in sorted(row["examples"].items()):
            head = f"**{name}**, {reason}: {REASONS.get(reason, reason)} ({row['dropped'][reason]:,})"
            parts.append(
                head + "\n\n" + "\n".join(f"- `{' '.join(e.split()).replace('`', chr(39))}`" for e in examples)
            )
    return "\n\n".join(parts)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
