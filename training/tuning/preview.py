"""The preview of a run: every example as the model will see it, what is left out and why, and what it will cost.

Prints one JSON object a line, for the app: `row`s, then `summary`, then `estimate`; or `failed` with a sentence.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch

from training.data import vocabulary as vocabularies
from training.recipe import load_recipe
from training.recipe_wish import Wish, load_wish
from training.tuning.estimate import estimate
from training.tuning.laying import lay_out
from training.tuning.layout import Laid
from training.tuning.recipes import epochs_of
from training.tuning.tokens import cut_into_tokens, prepare_documents

MOST_ROWS = 2000  # that are shown; all are counted
STRANGE = 1.6  # characters a token, below which a base does not know the writing; ENOUGH_TOKENS: to say so
ENOUGH_TOKENS = 100
FEW = {"answers": 10, "feedback": 30, "labels": 40}  # below, a person is told that they are few


def preview(folder: Path, *, with_estimate: bool = True) -> None:
    """Lay out `folder/wish.json` and print what came of it."""
    wish = load_wish(folder / "wish.json")
    for leftover in ("data", "documents", "shards", "tokenizer.json", "data_report.json", "prepared.json", "preparing"):
        path = folder / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if wish.kind == "spam":
        from training.tuning import corrections

        laid = corrections.lay_out(wish)
    else:
        laid = lay_out(wish, folder)
    if wish.kind in ("documents", "scratch"):
        _prepared(wish, folder, laid)
    for row in laid.rows[:MOST_ROWS]:
        _print("row", **asdict(row))
    _print("summary", **summary(wish, laid))
    if with_estimate and wish.kind != "spam":
        threads = wish.threads or os.cpu_count() or 1
        torch.set_num_threads(threads)
        recipe = load_recipe(folder / "recipe.toml")
        if recipe.data.sources:
            cut_into_tokens(wish, recipe, folder)
        _print("estimate", **estimate(wish, recipe, folder, threads).to_dict())


def _print(kind: str, **fields: Any) -> None:
    click.echo(json.dumps({"kind": kind, **fields}, ensure_ascii=False))


def _prepared(wish: Wish, folder: Path, laid: Laid) -> None:
    from training.tuning.lay_documents import rows_of

    report = prepare_documents(wish, load_recipe(folder / "recipe.toml"), folder)
    vocabulary = vocabularies.open_vocabulary(folder, wish.base) if wish.kind == "documents" else None
    laid.rows = rows_of(folder, report, vocabulary, MOST_ROWS)


def summary(wish: Wish, laid: Laid) -> dict[str, Any]:
    """Counts, and what a person should hear before starting."""
    counts, warnings = laid.counts(), []
    if counts["learned"] < FEW.get(wish.kind, 0):
        warnings.append(
            f"{counts['learned']} examples are few: what is asked in other words than these will often go wrong."
        )
    learned = [row for row in laid.rows if not row.problem]
    tokens = sum(row.tokens for row in learned)
    characters = sum(len(text) for row in learned if row.tokens for text, _ in row.parts)
    if tokens > ENOUGH_TOKENS and characters < STRANGE * tokens:
        warnings.append(
            f"The base reads {characters / tokens:.1f} characters a token of this, and about 4 of plain English: it "
            "does not know such writing, and can hardly learn it from so little. Take a base that was made for it."
        )
    return {
        "counts": counts,
        "notes": laid.notes,
        "warnings": warnings,
        "tokens": tokens,
        "amounts": asdict(laid.amounts),
        "epochs": epochs_of(wish),
        "shown": min(len(laid.rows), MOST_ROWS),
        "rows": len(laid.rows),
    }


def fail(error: Exception) -> None:
    _print("failed", text=str(error))
