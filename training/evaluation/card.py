"""The model's card: its README.md, made from recipe, reports and evaluation. No number in it is typed.

What was measured is `sections.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.evaluation.sections import sections, table
from training.recipe import Recipe

LIMITS = """\
It has read very little and is very small. It makes up facts, loses the thread after a few turns, cannot do arithmetic
beyond what it has seen, knows nothing of the world after its texts were written, and speaks English only. Nothing it
says should be relied on. It was trained on public texts that may contain old-fashioned views."""


def model_card(recipe: Recipe, evaluation: dict[str, Any], tokens: dict[str, Any], command: str) -> str:
    """The card in Markdown. `tokens` is the run's tokens_report.json, `command` what makes the model again."""
    base = recipe.base.model
    kind = f"made from {Path(base).name}" if base else "trained from raw text by homespun's own pipeline"
    opens = " It opens in transformers as well (Qwen3)." if not base and is_qwen3(recipe) else ""
    tuned = any(evaluation.get(stage, {}).get("tokens") for stage in ("sft", "dpo"))
    opens += "" if tuned else " It has only read texts, which it continues; it has not been tuned to answer."
    parts = [
        f"# {recipe.export.name}",
        f"A small {'chat' if tuned else 'language'} model ({evaluation['parameters'] / 1e6:.1f} million parameters), "
        f"{kind}, for homespun's terminal app.{opens}",
        "## Numbers\n\n" + _numbers(recipe, evaluation),
        *sections(evaluation),
        "## What it cannot do\n\n" + LIMITS,
        f"## Made by\n\n```\n{command}\n```",
        "## Data and licences\n\n" + _data(recipe, tokens),
        f"The weights are under {recipe.export.licence}; the licences of the data are in the table.",
    ]
    return "\n\n".join(parts) + "\n"


def is_qwen3(recipe: Recipe) -> bool:
    """Whether a model of this recipe's [model] has the one shape of ours that other programs know."""
    return recipe.model.mlp == "swiglu" and recipe.model.qk_norm


STAGES = {"pretrain": "pretraining", "sft": "instruction tuning", "dpo": "preference tuning"}


def _numbers(recipe: Recipe, evaluation: Mapping[str, Any]) -> str:
    m, e = recipe.model, recipe.export
    done = {words: evaluation[stage] for stage, words in STAGES.items() if evaluation.get(stage, {}).get("tokens")}
    seconds = sum(stage["seconds"] for stage in done.values())
    time = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    rows = [("parameters", f"{evaluation['parameters']:,}")]
    if not recipe.base.model:
        kind = "Qwen3-shaped" if is_qwen3(recipe) else f"{m.mlp}, queries and keys {'' if m.qk_norm else 'not '}normed"
        shape = f"{m.n_layer} layers × {m.d_model}, {m.n_head} heads ({m.n_kv_head} for keys), {kind}"
        vocabulary = f"{recipe.tokenizer.vocab_size:,} tokens (byte-level BPE), {m.context_length:,} tokens"
        rows += [("shape", shape), ("vocabulary, context", vocabulary)]
    rows += [
        ("tokens seen", ", ".join(f"{stage['tokens']:,} in {words}" for words, stage in done.items())),
        ("time", f"{time} of training"),
        ("measured on", evaluation["device"]),
    ]
    if bits := evaluation["pretrain"].get("bits_per_byte"):
        rows.append(("bits per byte, held out", f"{bits:.3f} after pretraining (the whole mix)"))
    if bits := evaluation["sft"].get("bits_per_byte"):
        words = f"{bits:.3f} bits per byte after instruction tuning (held-out chats)"
        rows.append(("on the assistant's words", words))
    if pairs := {key: value for key, value in evaluation.get("dpo", {}).items() if key in ("accuracy", "margin")}:
        words = f"{pairs['accuracy']:.1%} the right way round, implicit reward margin {pairs['margin']:.3f}"
        rows.append(("held-out preferences", words))
    sampling = f"temperature {e.temperature}, top-p {e.top_p}, repetition penalty {e.repetition_penalty}"
    return table(("", ""), [*rows, ("sampling", sampling)])


def _data(recipe: Recipe, tokens: Mapping[str, Any]) -> str:
    rows = []
    for source in recipe.data.sources:
        count = tokens[f"train/{source.name}"]["tokens"]
        times = f"{source.epochs:g} ×" + (f", tuning {source.sft_epochs:g} ×" if source.sft_epochs else "")
        rows.append((source.name, source.licence, f"{count:,}", times))
    if recipe.dpo.files:
        rows.append((f"`{recipe.dpo.files}` (preferences)", "", "", f"{recipe.dpo.epochs:g} ×"))
    return table(("source", "licence", "tokens", "read"), rows)


def plain_card(name: str, result: Mapping[str, Any]) -> str:
    """A card for a model of which only the measured is known."""
    rows = [("parameters", f"{result['parameters']:,}"), ("measured on", result["device"])]
    if sampling := result.get("sampling"):
        rows.append(("sampling", ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sampling.items())))
    parts = (f"# {name}", "## Numbers\n\n" + table(("", ""), rows), *sections(result))
    return "\n\n".join(parts) + "\n"
