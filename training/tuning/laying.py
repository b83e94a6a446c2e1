"""Laying out a wish of any kind: which of `lay_*.py` does it, and the recipe for what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.data import vocabulary as vocabularies
from training.data.vocabulary import Vocabulary
from training.recipe_wish import Wish
from training.tuning import lay_answers, lay_documents, lay_feedback, lay_labels
from training.tuning.layout import Laid
from training.tuning.recipes import recipe_of


def lay_out(wish: Wish, run: Path) -> Laid:
    """Make `run/data`, `run/documents` (where they are not prepared by the lab) and `run/recipe.toml`.

    Raises:
        TrainingError: a file cannot be read, or too little is left to learn from.
        EngineError: the base model cannot be opened.
    """
    ways: dict[str, Callable[[Wish, Path, Vocabulary | None], Laid]] = {
        "answers": lay_answers.lay_out,
        "documents": lay_documents.lay_out,
        "feedback": lay_feedback.lay_out,
        "labels": lay_labels.lay_out,
        "scratch": lay_documents.lay_out,
    }
    (run / "data").mkdir(parents=True, exist_ok=True)
    vocabulary = None if wish.kind == "scratch" else vocabularies.take_base(run, wish.base)
    laid = ways[wish.kind](wish, run, vocabulary)
    (run / "recipe.toml").write_text(recipe_of(wish, laid.amounts, laid.sources), encoding="utf-8")
    return laid
