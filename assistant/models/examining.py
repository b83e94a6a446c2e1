"""Facts about a model that nobody wrote down: one that was put into the folder by hand, or is named by its path."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from assistant.models.child import engine_check
from engine.catalog import ModelInfo


async def examine(info: ModelInfo) -> ModelInfo:
    """`info` with what the engine finds out, where something is unknown.

    Raises:
        ModelsError: the engine cannot open it.
    """
    if info.parameters and info.architecture and info.context_length and info.has_template is not None:
        return info
    found = await engine_check(info.path)
    return replace(info, **(found | {"licence": info.licence or found.get("licence")}))


def examined(info: ModelInfo) -> ModelInfo:
    """The same, for those without an event loop."""
    return asyncio.run(examine(info))
