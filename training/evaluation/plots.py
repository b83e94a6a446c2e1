"""Drawing charts: as PNG and SVG files (matplotlib) and in the terminal (plotext), both of the extra `train`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from training.errors import TrainingError
from training.evaluation.curves import Chart

INCHES = (7.0, 4.2)
FORMATS = ("png", "svg")


def save_charts(charts: Sequence[Chart], folder: Path) -> list[Path]:
    """Each chart as `folder/<kind>.png` and `.svg`; returns the files.

    Raises:
        TrainingError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure  # without pyplot, which would look for a screen
    except ImportError as error:
        raise _missing("matplotlib") from error
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context({"svg.hashsalt": "homespun", "svg.fonttype": "none"}):
        for chart in charts:
            figure = Figure(figsize=INCHES, layout="constrained")
            axes = figure.add_subplot()
            for line in chart.lines:
                axes.plot(line.x, line.y, label=line.name, marker="o" if len(line.x) < 30 else None, markersize=3)
            if chart.diagonal:
                axes.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
                axes.set(xlim=(0, 1), ylim=(0, 1.02))
            axes.set(title=chart.title, xlabel=chart.x, ylabel=chart.y)
            axes.grid(alpha=0.3)
            if len(chart.lines) > 1:
                axes.legend(frameon=False)
            for kind in FORMATS:
                path = folder / f"{chart.kind}.{kind}"
                figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else None)
                paths.append(path)
    return paths


def terminal_chart(chart: Chart, width: int = 0, height: int = 16) -> str:
    """The chart as lines of text, `width` columns wide (0: as the terminal).

    Raises:
        TrainingError: plotext is not installed.
    """
    try:
        import plotext
    except ImportError as error:
        raise _missing("plotext") from error
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width or min(shutil.get_terminal_size().columns, 100), height)
    many = len(chart.lines) > 1
    for line, marker in zip(chart.lines, _markers(len(chart.lines)), strict=True):
        plotext.plot(list(line.x), list(line.y), label=line.name if many else None, marker=marker)
    if chart.diagonal:
        plotext.plot([0, 1], [0, 1], marker="·")
        plotext.xlim(0, 1)
        plotext.ylim(0, 1)
    plotext.title(chart.title)
    plotext.xlabel(chart.x)
    plotext.ylabel(chart.y)
    plain = plotext.uncolorize(plotext.build())
    return "\n".join(line.rstrip() for line in plain.split("\n")).rstrip("\n")


def _markers(count: int) -> list[str]:
    """Lines have to be told apart without colours."""
    return ["braille"] if count == 1 else [("•", "x", "o", "+", "*", "#", "@", "%")[i % 8] for i in range(count)]


def _missing(library: str) -> TrainingError:
    return TrainingError(f"Drawing needs {library}. Install it with: pip install 'homespun[train]'")
