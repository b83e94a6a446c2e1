"""A worker without a model that streams Markdown (paragraphs, lists, a table, code) at a given speed."""

from __future__ import annotations

import os
import sys
import time

from engine.protocol import Delta, Done, Generate, Load, Loaded, Started, decode, encode

PIECE = """\
## A heading of some words

A paragraph with *emphasis*, `code` and a [link](https://example.com) that goes on for about as long as people write.

- one thing and another
- a second thing with **weight**

| name | value |
|------|-------|
| a    | 1     |

```python
def add(a: int, b: int) -> int:
    return a + b
```

"""


def _send(message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


def _stream(request: str, before: int, tokens: int, speed: float) -> None:
    """Four characters a token; after `before` of them told at most fifteen times a second, as the engine does."""
    text = (PIECE * ((before + tokens) * 4 // len(PIECE) + 1))[: (before + tokens) * 4]
    _send(Delta(request, text[: before * 4]))
    text = text[before * 4 :]
    step = max(1, round(speed / 15)) * 4
    began = time.monotonic()
    for at in range(0, len(text), step):
        _send(Delta(request, text[at : at + step]))
        time.sleep(max(0.0, began + (at + step) / 4 / speed - time.monotonic()))
    _send(Done(request, "stop", tokens, speed, 0.1, tokens))


def main() -> None:
    for line in sys.stdin.buffer:
        message = decode(line)
        if isinstance(message, Load):
            _send(Loaded(message.model, "stream", 1000, 32768, "cpu", "a stream", 0.1))
        elif isinstance(message, Generate):
            _send(Started(message.request, 10, 0, 0, 32768, 1))
            before, tokens = (int(os.environ.get(f"STREAM_{name}", "0")) for name in ("BEFORE", "TOKENS"))
            _stream(message.request, before, tokens, float(os.environ["STREAM_SPEED"]))


if __name__ == "__main__":
    main()
