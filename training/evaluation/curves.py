"""What a run has logged, as curves: from the `events.jsonl` of its stages. Drawing them is `plots.py`. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.events import read_events


@dataclass(frozen=True)
class Line:
    """Points to be joined."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """Lines over one pair of axes. `kind` is also the file's name."""

    kind: str
    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    diagonal: bool = False  # from (0, 0) to (1, 1), for comparison; the axes are shares then


# Held-out numbers of the stages, the first that is there: what it is called in the log and on the axis.
HELD_OUT = {
    "bits_per_byte": "bits per byte",
    "loss": "loss (nats)",
    "accuracy": "accuracy",
}
STAGES = ("pretrain", "mlm", "sft", "dpo", "classify", "translate")


def run_charts(run: Path, smooth: int = 0) -> list[Chart]:
    """Loss, held-out numbers and learning rate of every stage that `run` has logged.

    The training loss is a mean over `smooth` steps (0: a fiftieth of them), since one batch says little.

    Raises:
        TrainingError: there is no such run, or it has logged nothing.
    """
    if not run.is_dir():
        raise TrainingError(f"There is no run folder at {run}.")
    stages = [name for name in STAGES if (run / name / "events.jsonl").is_file()]
    folders = [run / name for name in stages] or ([run] if (run / "events.jsonl").is_file() else [])
    charts = [chart for folder in folders for chart in _stage_charts(folder, smooth)]
    if not charts:
        raise TrainingError(f"{run} has logged no training step yet, so there is nothing to draw.")
    return charts


def _stage_charts(folder: Path, smooth: int) -> list[Chart]:
    """One stage's charts. A step that was done twice, after an interruption, counts as it was last."""
    steps: dict[int, dict[str, float]] = {}
    valid: dict[int, dict[str, float]] = {}
    for event in read_events(folder / "events.jsonl"):
        if event.get("kind") in ("step", "valid"):
            (steps if event["kind"] == "step" else valid)[event["step"]] = event
    name, charts = folder.name, []
    if steps:
        x, losses = tuple(map(float, steps)), [event["loss"] for event in steps.values()]
        width = smooth or max(len(losses) // 50, 1)
        lines = [Line("training", x, tuple(_smoothed(losses, width)))]
        lines += _held_out(valid, "loss", "held out")
        charts.append(Chart(f"{name}-loss", f"{name}: loss", "step", "loss (nats)", tuple(lines)))
        rates = tuple(event["lr_scale"] for event in steps.values() if "lr_scale" in event)
        if len(rates) == len(x):
            line = Line("learning rate", x, rates)
            title = f"{name}: learning rate"
            charts.append(Chart(f"{name}-learning-rate", title, "step", "share of its peak", (line,)))
    for key, words in HELD_OUT.items():
        if key != "loss" and (found := _held_out(valid, key, "held out")):
            charts.append(Chart(f"{name}-{key.replace('_', '-')}", f"{name}: {words}", "step", words, tuple(found)))
    return charts


def _held_out(valid: dict[int, dict[str, float]], key: str, name: str) -> list[Line]:
    points = [(float(step), event[key]) for step, event in valid.items() if key in event]
    return [Line(name, *zip(*points, strict=True))] if points else []


def _smoothed(values: list[float], width: int) -> list[float]:
    """The mean of each value and up to `width` − 1 before it."""
    sums, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - width] if index >= width else 0.0)
        sums.append(total / min(index + 1, width))
    return sums


def reliability_chart(bins: list[dict[str, float]], title: str = "calibration") -> Chart:
    """Accuracy over confidence, a point for each bin that has answers."""
    filled = [b for b in bins if b["count"]]
    line = Line("answers", tuple(b["confidence"] for b in filled), tuple(b["accuracy"] for b in filled))
    return Chart("calibration", title, "confidence", "share that was right", (line,), diagonal=True)


def curve_charts(curves: dict[str, dict[str, dict[str, list[float]]]]) -> list[Chart]:
    """Precision–recall and ROC curves by label, as `labelled.py` reports them."""
    axes = {
        "precision_recall": ("precision and recall", "recall", "precision", False),
        "roc": ("ROC", "false positives", "recall", True),
    }
    charts = []
    for kind, (title, x, y, diagonal) in axes.items():
        lines = tuple(Line(label, tuple(c[kind]["x"]), tuple(c[kind]["y"])) for label, c in curves.items())
        charts.append(Chart(kind.replace("_", "-"), title, x, y, lines, diagonal=diagonal))
    return charts
