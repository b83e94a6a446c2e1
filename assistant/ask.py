"""`homespun ask`: one question, one answer on standard output. Nothing is stored."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from assistant.engine_client import EngineClient
from assistant.errors import UsageError
from assistant.text import printable
from engine.catalog import ModelInfo, sampling_defaults
from engine.protocol import Delta, Done, SamplingParams, Started


@dataclass(frozen=True)
class Wishes:
    """The options of the command; None leaves the model's own default."""

    model: ModelInfo
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    plain: bool = False
    cut: bool = False


def question(words: tuple[str, ...], piped: str | None) -> str:
    """What is asked: the words of the command line, then what came through the pipe.

    Raises:
        UsageError: neither has anything in it.
    """
    text = "\n\n".join(part for part in (printable(" ".join(words)).strip(), printable(piped or "").strip()) if part)
    if not text:
        raise UsageError('There is nothing to ask. Try: homespun ask "Why is the sky blue?"')
    return text


def sampling(wishes: Wishes, path: Path) -> SamplingParams:
    """The model's own settings with the wishes on top.

    Raises:
        UsageError: a value that cannot be.
    """
    given = {name: getattr(wishes, name) for name in ("temperature", "max_tokens", "seed")}
    try:
        return replace(sampling_defaults(path), **{name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        raise UsageError(f"{str(error).capitalize()}.") from error


async def ask(text: str, wishes: Wishes) -> None:
    """Stream the answer to stdout; what one should know about it goes to stderr.

    Raises:
        EngineError, WorkerDied, UsageError: with a sentence each.
    """
    params = sampling(wishes, wishes.model.path)
    client = EngineClient(wishes.model.path, wishes.device, precision=wishes.precision, compile=wishes.compile)
    messages = [{"role": "system", "content": printable(wishes.system)}] if wishes.system else []
    messages.append({"role": "user", "content": text})
    ended, begun = True, False
    try:
        loaded = await client.load()
        if sys.stderr.isatty():
            sys.stderr.write(f"({loaded.name}, {loaded.device_note})\n")
        overlong: Literal["refuse", "cut"] = "cut" if wishes.cut else "refuse"
        async for event in client.generate(messages, params, plain=wishes.plain, overlong=overlong):
            if isinstance(event, Started) and event.cut_tokens:
                sys.stderr.write(f"({event.cut_tokens:,} tokens from the question's middle did not fit.)\n")
            elif isinstance(event, Delta):
                # Raw into a file or pipe would be a fair wish too, but nobody wants escape codes a model made up.
                sys.stdout.write(printable(event.text))
                sys.stdout.flush()
                begun = True
            elif isinstance(event, Done):
                ended = event.reason == "stop"
    finally:
        await client.close()
        if begun:
            sys.stdout.write("\n")  # also before an error's sentence
    if not ended:
        sys.stderr.write("(The answer was cut at its longest allowed length.)\n")


def run(text: str, wishes: Wishes) -> None:
    asyncio.run(ask(text, wishes))
