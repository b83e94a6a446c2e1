"""`homespun` begins here: where a window is to open, its outline is on screen before anything slow is imported."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from assistant import doorway
from assistant.paths import find_paths


def main() -> None:
    """The command `homespun`."""
    try:
        options = doorway.options(sys.argv[1:])
        if options is not None:
            gc.disable()  # until everything is imported; see `run` in app.py
            named = options.get("--data-dir")
            doorway.open_(find_paths(Path(named) if named else None).looks)
        from assistant.cli import main as command

        command(prog_name="homespun")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        doorway.close()


if __name__ == "__main__":
    main()
