"""How well a vocabulary fits: bytes a token on each source's held-out text, beside another vocabulary's (GPT-2's)."""

from __future__ import annotations

import json
from pathlib import Path

from engine.errors import EngineError
from engine.text.tokenizer_files import load_tokenizer
from training.data.documents import as_text
from training.data.prepare import SPLITS, documents_path
from training.recipe import Recipe, RecipeError

ENOUGH = 1_000_000  # characters of a source


def vocabulary_report(recipe: Recipe, root: Path, run: Path) -> dict[str, dict[str, float]]:
    """Source → vocabulary ("own", and the one in the recipe's `compare`) → bytes a token; writes it, too.

    Held-out documents are measured, training documents where a source has none held out. The text alone counts, no
    turns of a chat and no special tokens.

    Raises:
        RecipeError: there is no vocabulary in `compare`.
    """
    vocabularies = {"own": load_tokenizer(run)}
    if folder := recipe.tokenizer.compare:
        try:
            vocabularies[Path(folder).name] = load_tokenizer(root / folder)
        except EngineError as error:
            raise RecipeError(f"[tokenizer] compare: {error}") from error
    report = {}
    for source in recipe.data.sources:
        texts = _texts(run, source.name)
        size = sum(len(text.encode()) for text in texts)
        report[source.name] = {
            name: round(size / max(sum(len(tokenizer.encode(text)) for text in texts), 1), 3)
            for name, tokenizer in vocabularies.items()
            if size
        }
    (run / "vocabulary_report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _texts(run: Path, name: str) -> list[str]:
    texts: list[str] = []
    left = ENOUGH
    for split in reversed(SPLITS):
        with documents_path(run, split, name).open(encoding="utf-8") as file:
            for line in file:
                if left <= 0:
                    return texts
                texts.append(as_text(json.loads(line)))
                left -= len(texts[-1])
        if texts:
            return texts
    return texts
