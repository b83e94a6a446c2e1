"""A model folder that only the catalog looks at, the fake worker's command, and the app driven through the Pilot."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from assistant.app import HomespunApp
from tests.assistant.album import Album
from tests.assistant.driver import Driver
from tests.assistant.model_files import hollow

FAKE = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def command() -> list[str]:
    return [sys.executable, str(FAKE)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "max_position_embeddings": 1024}))
    (folder / "model.safetensors").write_bytes(b"only looked at")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def opened(model: Path, data: Path, command: list[str]):
    @asynccontextmanager
    async def opened(size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driver]:
        app = HomespunApp(str(model), data_dir=data, command=command)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield Driver(app, pilot)

    return opened


@pytest.fixture
def album(tmp_path: Path, data: Path, command: list[str], monkeypatch: pytest.MonkeyPatch):
    """A window whose pictures are taken: nothing in it tells the day, the machine or the model that is bundled."""
    bundled = tmp_path / "bundled"
    hollow(bundled / "homespun-v0", 25_200_000, parameters=12_600_000, licence="Apache-2.0")
    for where in ("engine.catalog", "assistant.models.shelf"):
        monkeypatch.setattr(f"{where}.BUNDLED", bundled)
    for where in ("widgets.chat_list", "verdicts.shown"):
        monkeypatch.setattr(f"assistant.{where}.ago", lambda _: "now")
    monkeypatch.setattr(HomespunApp, "_remember_theme", lambda *_: None)  # each picture is taken in two
    monkeypatch.setenv("HOME", str(tmp_path))  # so that every path begins with ~
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def album(size: tuple[int, int], *, wait: bool = True) -> AsyncIterator[Album]:
        app = HomespunApp(None, data_dir=data, command=command)
        async with app.run_test(size=size) as pilot:
            app.animation_level = "none"
            it = Album(app, pilot)
            await it.until(lambda: not wait or app.service.client.loaded is not None)
            await pilot.pause()
            yield it
        it.compare()

    return album
