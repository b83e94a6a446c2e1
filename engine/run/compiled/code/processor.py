"""Which processor machine code is being made for: asked of the environment, which `build.py` sets."""

from __future__ import annotations

import os

from engine.run.compiled.host import TARGETS, lanes

TARGET = os.environ.get("HOMESPUN_TARGET", next(iter(TARGETS)))
LANES = lanes(TARGET)  # 32-bit numbers in a register
WIDTH = 4 * LANES  # bytes in a register
VNNI = "vnni" in TARGET  # four 8-bit products a lane in one instruction
