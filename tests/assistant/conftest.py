"""A model folder that only the catalog looks at, and the fake worker's command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

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
