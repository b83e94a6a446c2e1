"""A run's losses as a chart of characters (plotext), or as one line of blocks where that library is not installed."""

from __future__ import annotations

from rich.text import Text

Points = list[tuple[int, float]]
BLOCKS = "▁▂▃▄▅▆▇█"
MOST = 400  # points of a curve that are drawn


def chart(train: Points, valid: Points, valid_name: str, width: int, height: int) -> Text:
    """Training loss (nats a token) as a line, held-out numbers as points, over steps."""
    if not train or width < 20 or height < 4:
        return Text("The curve begins with the first steps.", style="dim")
    try:
        import plotext  # not needed to chat; it is in the extra `train`
    except ImportError:
        return sparkline(train, width)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)  # the size is that of the widget, whatever terminal plotext finds
    plotext.plot_size(width, height)
    steps, losses = zip(*thinned(train), strict=True)
    plotext.plot(list(steps), list(losses), label="loss", marker="braille", color="cyan")
    if valid:
        at, values = zip(*valid, strict=True)
        plotext.plot(list(at), list(values), label=f"held out ({valid_name})", marker="braille", color="orange")
        plotext.scatter(list(at), list(values), marker="•", color="orange")
    plotext.grid(False, False)
    return Text.from_ansi(plotext.build())


def thinned(points: Points) -> Points:
    """At most MOST points, each the mean of its neighbours, so that a long curve stays readable."""
    if len(points) <= MOST:
        return points
    size = -(-len(points) // MOST)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def sparkline(points: Points, width: int) -> Text:
    """The curve in one line, its two ends in numbers."""
    ends = f"{points[0][1]:.2f} ", f" {points[-1][1]:.2f}"
    room = max(width - len("".join(ends)), 1)
    every = max(len(points) / room, 1.0)
    values = [points[int(i * every)][1] for i in range(min(room, len(points)))]
    low, high = min(values), max(values)
    scale = (len(BLOCKS) - 1) / (high - low or 1.0)
    return Text(ends[0] + "".join(BLOCKS[round((value - low) * scale)] for value in values) + ends[1])
