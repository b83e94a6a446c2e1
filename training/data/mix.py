"""The mix: how much of what pretraining reads comes from which source, and how often it reads each.

Either the recipe says how often (`epochs`), or it says how large each source's share is (`weight`) of `tokens_m`
million tokens; then the epochs follow, as in GPT-3's table of data (Brown et al. 2020, table 2.2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from training.recipe import Recipe, RecipeError

OFTEN = 8  # epochs from which more of the same teaches little (Muennighoff et al. 2023): the report marks it


@dataclass(frozen=True)
class Part:
    """One source in the mix."""

    name: str
    tokens: int  # of its training documents
    read: int  # tokens that pretraining reads of it
    share: float  # of all that it reads
    epochs: float


def train_tokens(run: Path) -> dict[str, int]:
    """Tokens of each source's training documents, from the report of the tokenizer stage.

    Raises:
        RecipeError: the stage has not been done.
    """
    path = run / "tokens_report.json"
    if not path.exists():
        raise RecipeError(f"{path} is missing. Run the tokenizer stage first.")
    report = json.loads(path.read_text(encoding="utf-8"))
    return {row.removeprefix("train/"): v["tokens"] for row, v in report.items() if row.startswith("train/")}


def mixed(recipe: Recipe, run: Path) -> Recipe:
    """`recipe` with the epochs that its weights ask for; itself where it counts in epochs.

    Raises:
        RecipeError: a source with a weight has no tokens.
    """
    if not recipe.data.tokens_m:
        return recipe
    tokens = train_tokens(run)
    total = sum(source.weight for source in recipe.data.sources)
    sources = []
    for source in recipe.data.sources:
        if source.weight and not tokens.get(source.name):
            raise RecipeError(f"Source {source.name} has a weight in the mix, but no training documents.")
        wanted = recipe.data.tokens_m * 1e6 * source.weight / total
        sources.append(replace(source, epochs=wanted / max(tokens.get(source.name, 0), 1)))
    return replace(recipe, data=replace(recipe.data, sources=tuple(sources)))


def mix_table(recipe: Recipe, run: Path) -> list[Part]:
    """Every source's place in the mix, in the recipe's order."""
    tokens = train_tokens(run)
    epochs = {source.name: source.epochs for source in mixed(recipe, run).data.sources}
    read = {name: round(tokens[name] * times) for name, times in epochs.items()}
    total = sum(read.values()) or 1
    return [Part(name, tokens[name], read[name], read[name] / total, times) for name, times in epochs.items()]
