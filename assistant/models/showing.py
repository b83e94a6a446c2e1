"""How adding a model looks on the command line: a moving bar in a terminal, quiet lines elsewhere, all on stderr."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from typing import Any

from assistant.models.adding import add
from assistant.models.events import Added, Event, Note, Plan, Progress, progress_line, size_text
from assistant.models.shelf import Shelf
from assistant.text import printable
from engine.catalog import ModelInfo

LINE_SECONDS = 30.0  # between two lines of progress where nobody watches


def show_adding(shelf: Shelf, source: str, *, quiet: bool, **options: Any) -> ModelInfo:
    """Add `source` (adding.py), showing how far it is; Ctrl-C says what is kept and ends with status 130.

    Raises:
        AssistantError: as `add`.
    """
    view = View() if quiet else Bar() if sys.stderr.isatty() else Lines()
    try:
        return asyncio.run(_follow(shelf, source, view, options))
    except KeyboardInterrupt:
        view.close()
        kept = view.planned is not None and view.planned.name in {one.name for one in shelf.unfinished()}
        end = "What has come is kept: the same command goes on from there." if kept else "Nothing was added."
        sys.stderr.write(f"Stopped. {end}\n")
        sys.exit(130)
    finally:
        view.close()


async def _follow(shelf: Shelf, source: str, view: View, options: dict[str, Any]) -> ModelInfo:
    async with aclosing(add(shelf, source, **options)) as events:
        async for event in events:
            if isinstance(event, Added):
                return event.info
            view.show(event)
    raise AssertionError("`add` ends with Added or raises")


class View:
    """Says nothing."""

    def __init__(self) -> None:
        self.planned: Plan | None = None

    def show(self, event: Event) -> None:
        if isinstance(event, Plan):
            self.planned = event
            self.line(plan_line(event))
        elif isinstance(event, Progress):
            self.progress(event)
        elif isinstance(event, Note):
            self.line(printable(event.text))

    def line(self, text: str) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def close(self) -> None: ...


class Lines(View):
    """A line at the beginning, for each thing worth knowing, and twice a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def progress(self, progress: Progress) -> None:
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self.line(progress_line(progress))


class Bar(View):
    """A bar with bytes, speed and time left."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            BarColumn(30), TextColumn("{task.description}", markup=False), console=Console(stderr=True, highlight=False)
        )
        self._task: Any = None

    def line(self, text: str) -> None:
        self._bar.console.print(text, markup=False, soft_wrap=True)

    def progress(self, progress: Progress) -> None:
        if self._task is None:
            self._task = self._bar.add_task("", total=progress.total or 1)
            self._bar.start()
        self._bar.update(self._task, completed=progress.done, description=progress_line(progress))

    def close(self) -> None:
        self._bar.stop()


def plan_line(plan: Plan) -> str:
    """ "gpt2 from openai-community/gpt2: 548 MB, MIT; 120 MB of it are here already"."""
    licence = f", {printable(plan.licence)}" if plan.licence else ""
    have = f"; {size_text(plan.have)} of it are here already" if plan.have else ""
    size = size_text(plan.size) if plan.size else "linked"
    return f"{plan.name} from {printable(plan.source)}: {size}{licence}{have}"
