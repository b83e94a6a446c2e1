"""The model's card: its README.md, made from recipe, reports and evaluation. No number in it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.recipe import Recipe

LIMITS = """\
It has read very little and is very small. It makes up facts, loses the thread after a few turns, cannot do arithmetic
beyond what it has seen, knows nothing of the world after its texts were written, and speaks English only. Nothing it
says should be relied on. It was trained on public texts that may contain old-fashioned views."""


def model_card(recipe: Recipe, evaluation: dict[str, Any], tokens: dict[str, Any], command: str) -> str:
    """The card in Markdown. `tokens` is the run's tokens_report.json, `command` what makes the model again."""
    parts = [
        f"# {recipe.export.name}",
        f"A small chat model ({evaluation['parameters'] / 1e6:.1f} million parameters), trained from raw text by "
        "homespun's own pipeline, for homespun's terminal app. It opens in transformers as well (Qwen3).",
        "## Numbers\n\n" + _numbers(recipe, evaluation),
        "## How often it succeeds\n\n" + _checks(evaluation["checks"]),
        "## Twenty prompts, none picked\n\nThe replies as they came, first try, with the settings above.\n\n"
        + _replies(evaluation["replies"]),
        "## What it cannot do\n\n" + LIMITS,
        f"## Made by\n\n```\n{command}\n```",
        "## Data and licences\n\n" + _data(recipe, tokens),
        f"The weights are under {recipe.export.licence}; the licences of the data are in the table.",
    ]
    return "\n\n".join(parts) + "\n"


def _numbers(recipe: Recipe, evaluation: dict[str, Any]) -> str:
    m, e = recipe.model, recipe.export
    pretrain, sft = evaluation["pretrain"], evaluation["sft"]
    minutes = (pretrain["seconds"] + sft["seconds"]) / 60
    rows = [
        ("parameters", f"{evaluation['parameters']:,}"),
        ("shape", f"{m.n_layer} layers × {m.d_model}, {m.n_head} heads ({m.n_kv_head} for keys), Qwen3-shaped"),
        (
            "vocabulary, context",
            f"{recipe.tokenizer.vocab_size:,} tokens (byte-level BPE), {m.context_length:,} tokens",
        ),
        ("tokens seen", f"{pretrain['tokens']:,} in pretraining, {sft['tokens']:,} in instruction tuning"),
        ("time", f"{minutes:.0f} minutes of training"),
        ("measured on", evaluation["device"]),
        ("bits per byte, held out", f"{pretrain['bits_per_byte']:.3f} after pretraining (the whole mix)"),
        (
            "on the assistant's words",
            f"{sft['bits_per_byte']:.3f} bits per byte after instruction tuning (held-out chats)",
        ),
        (
            "sampling",
            f"temperature {e.temperature}, top-p {e.top_p}, repetition penalty {e.repetition_penalty}",
        ),
    ]
    return _table(("", ""), rows)


def _checks(checks: dict[str, Any]) -> str:
    rows, total = [], dict.fromkeys(("passed", "tried", "passed_unseen", "tried_unseen"), 0)
    for group, count in checks["groups"].items():
        rows.append(
            (group, _share(count["passed"], count["tried"]), _share(count["passed_unseen"], count["tried_unseen"]))
        )
        total = {key: value + count[key] for key, value in total.items()}
    rows.append(
        ("**all**", _share(total["passed"], total["tried"]), _share(total["passed_unseen"], total["tried_unseen"]))
    )
    note = (
        f"Each check in `training/evaluation/checks.toml` was asked {checks['seeds']} times with different seeds. A "
        "reply passes when it holds an expected word, ends by itself and does not repeat itself: necessary for a good "
        "answer, not sufficient. *Unseen* counts only questions that do not stand word for word in what it was "
        "trained on.\n\n"
    )
    after = f"\n\n{checks['loops_or_endless']} of {total['tried']} replies ran in circles or did not end by themselves."
    return note + _table(("group", "passed", "unseen questions only"), rows) + after


def _share(passed: int, tried: int) -> str:
    return f"{passed} of {tried} ({100 * passed / tried:.0f} %)" if tried else "none"


def _replies(replies: list[list[str]]) -> str:
    return "\n\n".join(f"**{prompt}**\n\n" + _quote(reply) for prompt, reply in replies)


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in (text or "(nothing)").split("\n"))


def _data(recipe: Recipe, tokens: dict[str, Any]) -> str:
    rows = []
    for source in recipe.data.sources:
        count = tokens[f"train/{source.name}"]["tokens"]
        times = f"{source.epochs:g} ×" + (f", tuning {source.sft_epochs:g} ×" if source.sft_epochs else "")
        rows.append((source.name, source.licence, f"{count:,}", times))
    return _table(("source", "licence", "tokens", "read"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
