"""A model folder that only the catalog looks at, the fake worker's command, and the app driven through the Pilot."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from assistant.app import HomespunApp
from tests.assistant.driver import Driver

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
