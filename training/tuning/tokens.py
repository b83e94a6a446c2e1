"""Between laying out and training: documents prepared as the lab does it, and cut into tokens. For preview and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data import prepare, vocabulary
from training.data import tokenizer as tokenizers
from training.data.shards import write_shards
from training.recipe import Recipe
from training.recipe_wish import Wish
from training.tuning.lay_documents import hold_some_out


def prepare_documents(wish: Wish, recipe: Recipe, run: Path) -> dict[str, Any]:
    """Clean and split what `wish` reads; returns the report by source."""
    report = prepare.prepare(recipe.data, run / "data", run, 1)
    if wish.kind == "documents":
        hold_some_out(run)
    return report


def cut_into_tokens(wish: Wish, recipe: Recipe, run: Path) -> None:
    """`run/shards`; a model from nothing gets its tokenizer first."""
    if wish.kind == "scratch" and tokenizers.is_stale(recipe, run):
        tokenizers.train_tokenizer(recipe, run)
    write_shards(recipe, run, 1)
    vocabulary.mark_shards(run, vocabulary.open_vocabulary(run))
