"""`make bench`: every benchmark, or those named: python -m tests.benchmarks startup ask."""

from __future__ import annotations

import platform
import sys

from tests.benchmarks import (
    app,
    ask,
    beside,
    decode,
    documents,
    engine,
    inside,
    kills,
    monkey,
    perplexity,
    preparing,
    rendering,
    spam,
    speculation,
    startup,
    training,
)

ALL = {
    "startup": startup.main,
    "app": app.main,
    "rendering": rendering.main,
    "ask": ask.main,
    "beside": beside.main,
    "documents": documents.main,
    "decode": decode.main,
    "engine": engine.main,
    "inside": inside.main,
    "speculation": speculation.main,
    "perplexity": perplexity.main,
    "training": training.main,
    "preparing": preparing.main,
    "kills": kills.main,
    "monkey": monkey.main,
    "spam": spam.main,
}


def main() -> int:
    wanted = sys.argv[1:] or list(ALL)
    if unknown := [name for name in wanted if name not in ALL]:
        print(f"Unknown benchmark {unknown[0]!r}; there are {', '.join(ALL)}.", file=sys.stderr)
        return 2
    print(f"median (smallest to largest); {platform.machine()}, Python {platform.python_version()}")
    for name in wanted:
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
