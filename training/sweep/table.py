"""The table of a search: best first, as `.tsv`, as Markdown and for the terminal; written again after every trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.sweep.trials import Result

RANKED_BY = ("bits_per_byte", "loss")  # lower is better; the first one that a stage measures
HEAD = ("place", "settings", "held out", "tokens", "steps", "minutes", "tokens/s", "parameters", "state")


def metric_of(results: Sequence[Result]) -> str:
    """What the trials are ranked by."""
    return next((name for name in RANKED_BY if any(name in r.metrics for r in results)), RANKED_BY[0])


def ranked(results: Sequence[Result]) -> list[Result]:
    """Best first; what is not done, in its order, behind that."""
    metric = metric_of(results)
    done = [r for r in results if r.state == "done" and metric in r.metrics]
    return sorted(done, key=lambda r: r.metrics[metric]) + [r for r in results if r not in done]


def rows(results: Sequence[Result]) -> list[list[str]]:
    """A head and a row for each result."""
    metric = metric_of(results)
    head = [metric.replace("_", " ") if name == "held out" else name for name in HEAD]
    table = [head]
    for place, r in enumerate(ranked(results), 1):
        told = r.state == "done" and metric in r.metrics
        value = f"{r.metrics[metric]:.4f}" if metric in r.metrics else ""
        pace = f"{r.tokens / r.seconds:,.0f}" if r.seconds else ""
        minutes = f"{r.seconds / 60:.1f}" if r.seconds else ""
        state = f"{r.state}: {r.note}" if r.note else r.state
        settings = " ".join(r.settings) or "(the recipe as it is)"
        numbers = [value, f"{r.tokens:,}", str(r.steps), minutes, pace, f"{r.parameters:,}"]
        table.append([str(place) if told else "", settings, *numbers, state])
    return table


def markdown(results: Sequence[Result]) -> str:
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows(results))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)) + "\n"


def plain(results: Sequence[Result]) -> str:
    """For the terminal: columns under each other, numbers to the right."""
    table = rows(results)
    widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
    left = (1, len(HEAD) - 1)
    lines = (
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def write_tables(folder: Path, results: Sequence[Result]) -> Path:
    """Write `table.tsv` and `table.md` into `folder`; returns the first."""
    tsv = "".join("\t".join(cell.replace("\t", " ") for cell in row) + "\n" for row in rows(results))
    for name, text in (("table.md", markdown(results)), ("table.tsv", tsv)):
        (folder / name).with_suffix(".tmp").write_text(text, encoding="utf-8")
        (folder / name).with_suffix(".tmp").replace(folder / name)
    return folder / "table.tsv"
