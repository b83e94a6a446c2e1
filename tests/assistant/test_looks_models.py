"""How the models look: the list with one that comes, what is known of one, and what was cut off."""

from __future__ import annotations

import json
from pathlib import Path

from assistant.screens.models import InfoScreen, ModelsScreen
from tests.assistant.album import SIZES
from tests.assistant.model_files import hollow

HUB = {
    "source": "Qwen/Qwen3-0.6B",
    "revision": "0123456789abcdef",
    "architecture": "qwen3",
    "parameters": 596_000_000,
    "context_length": 40_960,
    "licence": "apache-2.0",
    "has_template": True,
    "added": "2026-01-02T03:04:05+00:00",
    "sha256": {"model.safetensors": "0123456789abcdef" * 4},
}


@SIZES
async def test_the_models(album, size, data: Path, monkeypatch) -> None:
    hollow(data / "models" / "Qwen3-0.6B", 1_500_000_000)
    (data / "models" / "Qwen3-0.6B" / "homespun.json").write_text(json.dumps(HUB))
    hollow(data / "models" / "mine", 25_200_000, parameters=12_600_000)

    async def examine(info):
        return info

    monkeypatch.setattr("assistant.models.examining.examine", examine)
    async with album(size) as it:
        await it.ask("Hello")
        await it.pilot.press("ctrl+o")
        await it.shows(ModelsScreen)
        it.app.adding.line = "SmolLM2-135M-Instruct: 120 MB of 270 MB, 12.3 MB/s, 12 s left"
        it.app.screen._look()
        await it.take("models")
        it.app.adding.line = ""
        await it.pilot.press("up", "up", "i")
        await it.shows(InfoScreen)
        await it.take("model_info")
