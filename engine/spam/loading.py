"""Opening the judge in a folder, whichever scorer it is, or the one that ships."""

from __future__ import annotations

import os
from pathlib import Path

from engine.catalog import read_json
from engine.errors import ModelFolderError
from engine.spam.hashed_scorer import ARCHITECTURE, HashedScorer
from engine.spam.judge import SpamJudge

SCORERS = Path(__file__).parent.parent / "scorers"
BUNDLED, CLASSICAL = SCORERS / "homespun-spam", SCORERS / "homespun-spam-classical"  # the default, and its yardstick
STACKED = "stacked"  # the architecture of `stacked_scorer.py`, in its config.json


def load_judge(folder: Path | None = None) -> SpamJudge:
    """The judge in `folder`, which may be the name of one that ships; the default one when there is none.

    Raises:
        ModelFolderError: not a spam scorer, damaged, or made for another normaliser.
    """
    folder = folder or BUNDLED
    if not os.path.exists(folder) and len(folder.parts) == 1 and os.path.isdir(SCORERS / folder):
        folder = SCORERS / folder
    config = read_json(folder / "config.json")
    if config.get("architecture") == ARCHITECTURE:
        return HashedScorer.load(folder)
    if config.get("architecture") == STACKED:
        from engine.spam.stacked_scorer import StackedScorer  # torch: late, because the classical one needs none

        return StackedScorer.load(folder)
    raise ModelFolderError(f"{folder} holds no spam scorer that this homespun can open.")
