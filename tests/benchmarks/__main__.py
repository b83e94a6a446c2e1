"""`make bench`: every benchmark, or those named: python -m tests.benchmarks startup ask."""

from __future__ import annotations

import platform
import sys
from importlib import import_module

ALL = (
    "startup",
    "app",
    "rendering",
    "ask",
    "beside",
    "documents",
    "decode",
    "engine",
    "inside",
    "speculation",
    "perplexity",
    "training",
    "preparing",
    "kills",
    "monkey",
    "spam",
)


def main() -> int:
    wanted = sys.argv[1:] or list(ALL)
    if unknown := [name for name in wanted if name not in ALL]:
        print(f"Unknown benchmark {unknown[0]!r}; there are {', '.join(ALL)}.", file=sys.stderr)
        return 2
    print(f"median (smallest to largest); {platform.machine()}, Python {platform.python_version()}")
    for name in wanted:
        # Only now and only this one: processes that a benchmark starts import this file again, and with it its imports.
        import_module(f"tests.benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
