"""The measured part of a model's card, in Markdown: every number of an evaluation has its place here.

The card around it is `card.py`. No number is typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]
BEGIN, END = "<!-- evaluation: begin -->", "<!-- evaluation: end -->"


def sections(result: Result) -> list[str]:
    """A section for each thing that was measured."""
    made = {
        "Held-out text": _texts(result.get("sources") or result.get("texts")),
        "How often it succeeds": _checks(result.get("checks")),
        "Instructions it keeps to": _instructions(result.get("instructions")),
        "Multiple choice": _choices(result.get("mcq")),
        "Labels": _labels(result.get("labels")),
        "How sure it is": _calibration(result.get("labels")),
        "EleutherAI's harness": _harness(result.get("lm_eval")),
    }
    parts = [f"## {title}\n\n{text}" for title, text in made.items() if text]
    if replies := result.get("replies"):
        title = "Twenty prompts" if len(replies) == 20 else f"{len(replies)} prompts"
        intro = "The replies as they came, first try, with the settings above."
        parts.append(f"## {title}, none picked\n\n{intro}\n\n{_replies(replies)}")
    return parts


def into_card(card: str, result: Result) -> str:
    """`card` with the measured part put in the place of the last one, or behind it."""
    text = "\n\n".join((BEGIN, f"Measured on {result['device']}.", *sections(result), END))
    if BEGIN in card and END in card:
        before, after = card.split(BEGIN)[0], card.split(END)[-1]
        return before + text + after
    return card.rstrip() + "\n\n" + text + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def share(passed: int, tried: int) -> str:
    return f"{passed} of {tried} ({100 * passed / tried:.0f}%)" if tried else "none"


def _texts(texts: Result | None) -> str:
    if not texts:
        return ""
    rows = [
        (name, f"{t['bits_per_byte']:.3f}", f"{t['perplexity']:.2f}", f"{t['tokens']:,}", f"{t['documents']:,}")
        for name, t in texts.items()
    ]
    return table(("text", "bits per byte", "perplexity a token", "tokens read", "documents"), rows)


def _checks(checks: Result | None) -> str:
    if not checks:
        return ""
    known = checks.get("data_known", True)
    rows, total = [], dict.fromkeys(("passed", "tried", "passed_unseen", "tried_unseen"), 0)
    for group, count in checks["groups"].items():
        rows.append(_row(group, count, known))
        total = {key: value + count[key] for key, value in total.items()}
    rows.append(_row("**all**", total, known))
    note = (
        f"Each check in `training/evaluation/checks.toml` was asked {checks['seeds']} times with different seeds. A "
        "reply passes when it holds an expected word, ends by itself and does not repeat itself: necessary for a good "
        "answer, not sufficient."
    )
    unseen = " *Unseen* counts only questions that do not stand word for word in what it was trained on."
    after = f"{checks['loops_or_endless']} of {total['tried']} replies ran in circles or did not end by themselves."
    if long := checks.get("too_long"):
        after += f" {long} questions were too long for its context, and count as failed."
    head = ("group", "passed", "unseen questions only")[: 3 if known else 2]
    return f"{note}{unseen if known else ''}\n\n{table(head, rows)}\n\n{after}"


def _row(name: str, count: Mapping[str, int], known: bool) -> tuple[str, ...]:
    row = (name, share(count["passed"], count["tried"]), share(count["passed_unseen"], count["tried_unseen"]))
    return row if known else row[:2]


def _instructions(told: Result | None) -> str:
    if not told:
        return ""
    rows = [(group, share(count["passed"], count["tried"])) for group, count in told["groups"].items()]
    rows += [
        ("**all prompts, strictly**", f"{told['prompt_strict']:.1%} of {told['prompts']}"),
        ("all prompts, loosely", f"{told['prompt_loose']:.1%}"),
        ("single instructions, strictly", f"{told['instruction_strict']:.1%} of {told['instructions']}"),
        ("single instructions, loosely", f"{told['instruction_loose']:.1%}"),
    ]
    note = (
        "Instructions that a program verifies (count, format, contains, exact answer), in the manner of IFEval. "
        "Loosely: a first or last line and stars may be left out."
    )
    return f"{note}\n\n{table(('', 'kept'), rows)}"


def _choices(mcq: Result | None) -> str:
    if not mcq:
        return ""
    rows = [
        (words, f"{mcq[f'accuracy_{key}']:.1%} ± {mcq[f'accuracy_{key}_error']:.1%}")
        for key, words in (
            ("byte", "likeliest a byte"),
            ("token", "likeliest a token"),
            ("sum", "likeliest as a whole"),
        )
    ]
    rows += [("chance", f"{mcq['chance']:.1%}"), ("calibration error (15 bins)", f"{mcq['expected_error']:.3f}")]
    left = f"; {mcq['too_long']} were too long for its context" if mcq["too_long"] else ""
    note = f"{mcq['questions']} questions of `{mcq['file']}`, answered with the choice it finds likeliest{left}."
    return f"{note}\n\n{table(('', 'right'), rows)}"


def _labels(labels: Result | None) -> str:
    if not labels:
        return ""
    report, curves = labels["report"], labels["curves"]
    rows = [
        (
            name,
            *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")),
            f"{curves[name]['roc']['area']:.3f}",
            f"{curves[name]['precision_recall']['area']:.3f}",
            f"{row['support']:,}",
        )
        for name, row in report["labels"].items()
    ]
    for name in ("macro", "weighted"):
        means = (f"{report[name][key]:.3f}" for key in ("precision", "recall", "f1"))
        rows.append((f"*{name} mean*", *means, "", "", f"{report['count']:,}"))
    head = ("label", "precision", "recall", "F1", "ROC area", "average precision", "texts")
    names = list(report["labels"])
    confusion = table(
        ("is ↓, said →", *names), [(n, *map(str, row)) for n, row in zip(names, report["confusion"], strict=True)]
    )
    totals = (
        f"Accuracy {report['accuracy']:.1%}, balanced {report['balanced_accuracy']:.1%}, Matthews' correlation "
        f"{report['matthews']:.3f}."
    )
    return f"{table(head, rows)}\n\n{totals}\n\n{confusion}"


def _calibration(labels: Result | None) -> str:
    if not labels:
        return ""
    plain, scaled = labels["calibration"], labels["calibration"]["scaled"]
    words = {
        "expected_error": "expected calibration error (15 bins)",
        "largest_error": "in the worst bin",
        "brier": "Brier score",
        "log_loss": "cross-entropy (nats)",
    }
    rows = [(text, f"{plain[key]:.4f}", f"{scaled[key]:.4f}") for key, text in words.items()]
    bins = [
        (f"{b['low']:.2f}–{b['high']:.2f}", str(b["count"]), f"{b['confidence']:.3f}", f"{b['accuracy']:.3f}")
        for b in plain["bins"]
        if b["count"]
    ]
    head = ("", "as it is", f"scaled by {plain['temperature']:.2f}")
    return f"{table(head, rows)}\n\n{table(('confidence', 'texts', 'its mean', 'share right'), bins)}"


def _harness(tasks: Result | None) -> str:
    if not tasks:
        return ""
    rows = [
        (task, name.split(",")[0], f"{value:.4f}")
        for task, numbers in tasks.items()
        for name, value in numbers.items()
        if isinstance(value, float) and "stderr" not in name
    ]
    return table(("task", "measure", "value"), rows)


def _replies(replies: Sequence[Sequence[str]]) -> str:
    return "\n\n".join(f"**{prompt}**\n\n" + _quote(reply) for prompt, reply in replies)


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in (text or "(nothing)").split("\n"))
