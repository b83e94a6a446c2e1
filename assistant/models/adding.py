"""Adding a model: brought into a hidden folder, checked by the engine, and only then given its name, or not at all.

Owns the order of steps and what happens when one fails. Fetching and copying run in a child process (`fetch.py`), the
check in another (`engine.check`). The command line and the window both show the events that `add` yields.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assistant.errors import Interrupted, ModelsError
from assistant.models import headers
from assistant.models.child import Child, engine_check, weight_files
from assistant.models.events import Added, Event, Meter, Note, Plan, Progress, facts_of, size_text
from assistant.models.finishing import card_licence, publish
from assistant.models.shelf import Shelf
from assistant.models.sources import Local, Repo, Source, name_for, parse
from engine.catalog import BUNDLED, BYTES_PER_WEIGHT, ModelInfo, describe, is_adapter
from engine.errors import ModelFolderError

ROOM = 64 << 20  # bytes that stay free on the disk


async def add(
    shelf: Shelf, wish: str, *, name: str | None = None, link: bool = False, anyway: bool = False
) -> AsyncGenerator[Event, None]:
    """Add what `wish` names (sources.py); the last event is Added. Closing the generator stops it.

    Args:
        name: of the model here; made from the source where it is None.
        link: leave a model of this machine where it is, and point to it.
        anyway: also where it cannot fit into this machine's memory.

    Raises:
        UsageError, ModelsError, StorageError: in one sentence. Interrupted: what has come is kept for another `add`.
    """
    source = parse(wish)
    name = name_for(source, name)
    if link and isinstance(source, Repo):
        raise ModelsError("Only a model that is on this machine can be linked.")
    shelf.make()
    _check_name(shelf, name, source)
    with shelf.holding(name):
        facts = await _first_look(source, anyway)
        folder = _prepare(shelf, name, source)
        keep = False
        try:
            async for event in _bring(shelf, name, source, folder, link, anyway, facts):
                yield event
            yield Added(await _finish(shelf, name, source, folder, facts))
        except (Interrupted, asyncio.CancelledError, GeneratorExit):
            keep = isinstance(source, Repo) and folder.is_dir() and any(folder.iterdir())
            raise
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
                shelf.forget_job(name)


def _check_name(shelf: Shelf, name: str, source: Source) -> None:
    """Names differ in more than case, which some file systems do not see."""
    for folder in (shelf.folder, BUNDLED):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name.lower() != name.lower():
                continue
            same = False
            with suppress(ModelFolderError):
                same = describe(path).facts.get("source") == str(source)
            hint = "Nothing was done." if same else "Give another name with --name, or remove that one first."
            raise ModelsError(f"There is a model called {path.name} already{', from there' if same else ''}. {hint}")


async def _first_look(source: Source, anyway: bool) -> dict[str, Any]:
    """What the engine says of a model on this machine, before anything is copied."""
    if isinstance(source, Repo):
        return {}
    for path in weight_files(source.path):
        headers.look_at(path)
    if is_adapter(source.path) or (source.gguf and source.path.suffix != ".gguf"):
        return {}  # looked at in its new place: beside its base, and under a name that says what it is
    facts = await engine_check(source.path)
    check_memory(source.path.name, facts["parameters"], anyway)
    return facts


def _prepare(shelf: Shelf, name: str, source: Source) -> Path:
    """The hidden folder, with what an earlier try to add the same left there, else empty."""
    folder = shelf.incoming / name
    if shelf.job_source(name) != str(source) or isinstance(source, Local):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ModelsError(f"The models folder {shelf.folder} cannot be written: {error.strerror}.") from error
    shelf.write_job(name, str(source), resumable=isinstance(source, Repo))
    return folder


async def _bring(
    shelf: Shelf, name: str, source: Source, folder: Path, link: bool, anyway: bool, facts: dict[str, Any]
) -> AsyncGenerator[Event, None]:
    job: dict[str, Any] = {"folder": str(folder)}
    if isinstance(source, Repo):
        job |= {"repo": asdict(source), "stall": float(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT") or 15)}
    else:
        job |= {"local": str(source.path), "gguf": source.gguf, "link": link}
    async with Child(job) as child:
        plan = await child.next()
        size, have = int(plan["size"]), int(plan["have"])
        if isinstance(source, Repo):
            check_memory(name, plan.get("parameters") or _fewest_parameters(plan), anyway)
        _check_disk(shelf, name, size - have, source)
        yield Plan(name, str(source), plan.get("licence"), size, have)
        meter = Meter(size, have)
        await child.go()
        async with _Early(folder, name) as early:
            while (message := await child.next())["kind"] != "done":
                early.look(message)
                if message["kind"] == "bytes":
                    yield meter.at(int(message["done"]))
                elif message["kind"] == "note":
                    yield Note(str(message["text"]))
        yield Progress(size, size)
        facts |= facts_of(message)


class _Early:
    """Asks the engine about config.json as soon as it is there: gigabytes need not come to be refused at the end."""

    def __init__(self, folder: Path, name: str) -> None:
        self._config, self._name = folder / "config.json", name
        self._task: asyncio.Task[dict[str, Any]] | None = None

    async def __aenter__(self) -> _Early:
        return self

    def look(self, message: dict[str, Any]) -> None:
        """Begin when the message says so; raise when the engine has refused."""
        if message["kind"] == "here" and message["name"] == self._config.name:
            self._task = asyncio.create_task(engine_check(self._config, shown=f"config.json of {self._name}"))
        elif self._task is not None and self._task.done():
            self._task.result()
            self._task = None

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _fewest_parameters(plan: dict[str, Any]) -> int:
    """Where nobody counted them: as many as the weights' bytes make if each were as wide as can be."""
    return int(plan["size"]) // 4


def check_memory(name: str, parameters: int, anyway: bool) -> None:
    """Refuse what cannot run here in any precision.

    Raises:
        ModelsError: it cannot.
    """
    least, there = parameters * min(BYTES_PER_WEIGHT.values()), memory()
    if not anyway and there is not None and least > there:
        raise ModelsError(
            f"{name} needs {size_text(least)} of memory at the very least, and this machine has {size_text(there)}. "
            "Choose a smaller model (or add it all the same with --anyway)."
        )


def memory() -> int | None:
    """Bytes of memory this machine has; None where the system does not say."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _check_disk(shelf: Shelf, name: str, needed: int, source: Source) -> None:
    free = free_bytes(shelf.folder)
    if isinstance(source, Local) and same_disk(source.path, shelf.folder):
        return  # hard links take no room
    if needed + ROOM > free:
        raise ModelsError(
            f"{name} needs {size_text(needed)}, and only {size_text(max(0, free - ROOM))} are free on the disk of "
            f"{shelf.folder}. Free some space, or move the data folder with --data-dir."
        )


def same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


async def _finish(shelf: Shelf, name: str, source: Source, folder: Path, facts: dict[str, Any]) -> ModelInfo:
    """Check what was brought, write down its facts, and give it its name."""
    for path in weight_files(folder):
        headers.look_at(path)
    given = facts.get("licence")
    if "parameters" not in facts:
        facts |= await engine_check(folder, shown=name)
    facts["licence"] = given or card_licence(folder) or facts.get("licence")
    linked = any(path.is_symlink() for path in folder.iterdir())
    written = {
        "format_version": 1,
        "source": str(source),
        "linked": linked,
        "added": datetime.now(UTC).isoformat(timespec="seconds"),
    } | {key: facts[key] for key in KEPT if facts.get(key) is not None}
    await asyncio.to_thread(publish, folder, shelf.folder / name, written)
    return describe(shelf.folder / name)


KEPT = ("revision", "licence", "architecture", "parameters", "context_length", "has_template", "sha256")
