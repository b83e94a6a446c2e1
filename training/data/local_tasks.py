"""datatrove's jobs on this machine: a line for each on the screen, and datatrove's own words in the log files alone.

datatrove logs whole tracebacks to the screen; what went wrong is said in one sentence by whoever runs the jobs, and the
rest is found in the job's folder of logs. What the jobs do is `bigdata.py`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.utils.logging import setup_default_logger


class LocalTasks(LocalPipelineExecutor):
    """`LocalPipelineExecutor`, silent: here and in the processes that it starts."""

    def run(self) -> Any:
        with quiet():
            return super().run()

    def _launch_run_for_rank(self, *arguments: Any, **named: Any) -> Any:
        with quiet():
            return super()._launch_run_for_rank(*arguments, **named)


@contextmanager
def quiet() -> Iterator[None]:
    """datatrove's log, which goes to whatever stderr is when it is set up, goes nowhere within this context."""
    try:
        with redirect_stderr(io.StringIO()):
            setup_default_logger()
            yield
    finally:
        setup_default_logger()


def run_tasks(name: str, steps: list[Any], tasks: int, workers: int, logs: Path) -> None:
    """All `tasks` of a job, `workers` at a time; those that are done already are not done again."""
    workers = min(workers, tasks)
    print(f"{name}: {tasks} task{'s' if tasks > 1 else ''}, {workers} at a time; the log is in {logs}", flush=True)
    LocalTasks(steps, tasks, workers, str(logs), start_method="spawn").run()
