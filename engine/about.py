"""`python -m engine.about`: which torch is here and what it would run a model on. One JSON object on stdout.

{"torch", "cuda" (the version it was built with, or null), "devices", "note"}, or {"error"} with exit status 2. The
app's doctor asks for it; nothing is loaded.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def about() -> dict[str, Any]:
    """The facts about torch on this machine."""
    import torch

    from engine.run.device import available, choose

    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "devices": available(),
        "note": f"it would use: {choose().note}",
    }


def main() -> int:
    """Print the facts or the reason; returns the exit status."""
    try:
        result = about()
    except Exception as error:  # noqa: BLE001 - the process's edge: a broken torch raises anything
        result = {"error": f"torch cannot be used ({type(error).__name__}: {str(error)[:300]})."}
    print(json.dumps(result))  # noqa: T201
    return 2 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main())
