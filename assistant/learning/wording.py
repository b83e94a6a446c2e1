"""The sentences about a run that the command line and the screens share: counts, costs, numbers, its outcome."""

from __future__ import annotations

from assistant.learning.looking import Preview
from assistant.learning.runs import Run
from assistant.models.events import parameters_text, size_text, time_text
from assistant.text import printable

# What a run is doing: in a list, and behind its name.
STATES = {
    "starting": "starts",
    "waiting": "waits for its turn",
    "preparing": "is being prepared",
    "measuring before": "asks the old model",
    "training": "learns",
    "keeping": "is written",
    "measuring after": "asks the new model",
    "paused": "paused",
    "failed": "failed",
    "cut off": "was cut off",
    "done": "done",
}
HEADS = {
    "starting": "starts",
    "waiting": "waits until the run before it is done",
    "preparing": "reads the data",
    "measuring before": "asks the old model",
    "training": "learns",
    "keeping": "writes the model",
    "measuring after": "asks the new model",
    "paused": "is paused",
    "failed": "has failed",
    "cut off": "was cut off",
    "done": "is done",
}


def counts_line(preview: Preview) -> str:
    """ "40 learned from · 2 left out (1 no answer, 1 the same as …) · 1,353 tokens"."""
    counts = dict(preview.summary["counts"])
    learned = counts.pop("learned", 0)
    parts = [f"Preview: {learned:,} learned from"]
    if counts:
        why = ", ".join(f"{n} {reason}" for reason, n in counts.items())
        parts.append(f"{sum(counts.values()):,} left out ({why})")
    if preview.summary["tokens"]:
        parts.append(f"{preview.summary['tokens']:,} tokens, seen {preview.summary['epochs']:g} times")
    return " · ".join(parts)


def cost_line(preview: Preview) -> str:
    """Time, memory and disk, from the steps that were really done."""
    e = preview.estimate
    share = f"{100 * e['trained'] / e['parameters']:.1f} % of" if e["trained"] < e["parameters"] else "all of"
    return (
        f"About {time_text(e['seconds'])} ({e['steps']:,} steps, {e['tokens_per_second']:,.0f} tokens/s), "
        f"{size_text(e['memory_mb'] * 1e6)} of memory, {size_text(e['disk_mb'] * 1e6)} on disk; "
        f"{share} {parameters_text(e['parameters'])} parameters learn"
    )


def outcome(run: Run) -> str:
    """A run's most telling number, in a few words."""
    for name, old, new, unit in run.result.get("rows", []):
        if new is not None and "dialogues" not in name:
            before = f"{old:g} → " if old is not None else ""
            return f"{name}: {before}{new:g} {unit}".rstrip()
    return "done"


def number(value: float | None, unit: str) -> str:
    """A number of a result with its unit; a dash where there is none. Per cent have a decimal where they have one: of
    what is to stay as it was, three tenths are much."""
    if value is None:
        return "–"
    return (
        f"{value:.1f}".removesuffix(".0") + " %" if unit == "%" else f"{value:.3f} {unit}" if unit else f"{value:.1f}"
    )


def result_sentence(run: Run) -> str:
    """A result's numbers and warnings as sentences."""
    parts = [
        f"{name}: {number(old, unit)} before, {number(new, unit)} now." for name, old, new, unit in run.result["rows"]
    ]
    return " ".join(printable(str(part)) for part in [*parts, *run.result.get("warnings", [])])
