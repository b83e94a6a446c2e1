"""`homespun` begins here: where a window is to open, its outline is on screen before anything slow is imported."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from assistant import doorway
from assistant.paths import find_paths


def main() -> None:
    """The command `homespun`."""
    _fill_streams()
    options = doorway.options(sys.argv[1:])
    try:
        if options is not None and doorway.possible():
            _window(options)
        else:
            from assistant.cli import main as command

            command(prog_name="homespun")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        doorway.close()


def _fill_streams() -> None:
    """Have a stream that the caller closed read or write nothing; and no character be one that it cannot take."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for good
        elif name != "stdin" and isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _window(options: Mapping[str, str]) -> None:
    """Open the window, as the command without another one's name does, and without what only others need."""
    named = options.get("--data-dir")
    folder = Path(named) if named else None
    gc.disable()  # until everything is imported; see `run` in app.py
    doorway.open_(find_paths(folder).looks)
    try:
        from assistant.app import run

        model, device, precision = (options.get(f"--{name}") for name in ("model", "device", "precision"))
        run(model, device or "auto", folder, precision or "auto", "--compile" in options)
    except Exception as error:
        from assistant.errors import ending

        if (end := ending(error)) is None:
            raise
        doorway.close()  # so that the sentence is not on a screen that goes
        sys.stderr.write(f"Error: {end[0]}\n")
        sys.exit(end[1])


if __name__ == "__main__":
    main()
