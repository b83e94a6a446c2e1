"""`python -m assistant.models.fetch JOB`: brings a model's files into a folder, in a process of its own.

Its own process, because a download can then be ended at any moment, whatever a library is waiting for, and because
neither the window nor the command line has to import the Hub's client. JOB is JSON; one JSON object a line comes out:

    {"kind": "plan", …}     what is to be brought. Nothing is until the line "go" comes in on stdin
    {"kind": "bytes", "done": …} · {"kind": "note", "text": …} · {"kind": "checking" or "here", "name": …}
    {"kind": "done", "sha256": {…}, …}   or   {"kind": "failed", "message": …, "keep": …}

It ends when its stdin closes: nobody is waiting for the model any more.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from assistant.errors import Interrupted, ModelsError
from assistant.models.sources import Local, Repo

TELL_SECONDS = 0.2  # between two lines about bytes


class Teller:
    """Writes the lines, bytes no more often than anybody looks."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, kind: str, **fields: Any) -> None:
        now = time.monotonic()
        if kind == "bytes" and now - self._last < TELL_SECONDS:
            return
        self._last = now if kind == "bytes" else 0.0
        sys.stdout.write(json.dumps({"kind": kind, **fields}) + "\n")
        sys.stdout.flush()


def run(job: dict[str, Any], tell: Teller) -> None:
    """Do `job`: {"repo": {…}} or {"local": path, "gguf": …, "link": …}, and "folder", "stall".

    Raises:
        ModelsError: with a sentence.
    """
    folder = Path(job["folder"])
    if "repo" in job:
        _from_hub(Repo(**job["repo"]), folder, float(job["stall"]), tell)
    else:
        _from_here(Local(Path(job["local"]), job["gguf"]), folder, job["link"], tell)


def _from_hub(repo: Repo, folder: Path, stall: float, tell: Teller) -> None:
    from assistant.models import hub

    plan = hub.look_up(repo)
    facts = {"revision": plan.revision, "licence": plan.licence}
    files = {file.name: file.target for file in plan.files}
    have = hub.already(plan, folder)
    tell("plan", size=plan.size, have=have, parameters=plan.parameters, files=files, **facts)
    _wait_for_go()
    tell("done", sha256=hub.fetch(plan, folder, tell, stall), **facts)


def _from_here(source: Local, folder: Path, link: bool, tell: Teller) -> None:
    from assistant.models import local

    files = local.files_of(source)
    size = 0 if link else sum(path.stat().st_size for path in files)
    tell("plan", size=size, have=0, files={str(path): name for path, name in files.items()})
    _wait_for_go()
    tell("done", sha256=local.take(files, folder, tell, link=link))


def _wait_for_go() -> None:
    if sys.stdin.readline().strip() != "go":
        sys.exit(0)
    threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> int:
    """Do the job on the command line; returns the exit status."""
    tell = Teller()
    try:
        run(json.loads(sys.argv[1]), tell)
    except ModelsError as error:
        tell("failed", message=str(error), keep=isinstance(error, Interrupted))
        return 2
    except BrokenPipeError:
        os._exit(1)  # nobody reads any more
    except Exception as error:  # noqa: BLE001 - the process's edge: whoever waits must hear of it, whatever it is
        message = f"The model could not be fetched ({type(error).__name__}: {str(error)[:200]})."
        tell("failed", message=message, keep=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
