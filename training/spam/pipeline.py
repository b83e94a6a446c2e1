"""The spam scorer that ships, made anew on any examples; the table does so for each split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.spam.loading import load_judge
from training.spam.fitting import Rows, joined
from training.spam.prepare import write_files
from training.spam.splits import Example

ACCENTS, DISGUISED, SEED = 1, 1.0, 1


class Stacked:
    """The scorer of `examples`, made as the card says and kept in `folder`; one that is there already is opened."""

    def __init__(self, examples: Sequence[Example], folder: Path, seed: int = 0) -> None:
        """`seed`: of the accents and disguises that are added, and of the networks.

        Raises:
            TrainingError: the examples do not do.
        """
        if not (folder / "scorer" / "config.json").is_file():
            from training.spam.stacking import stack

            if not (folder / "data" / "report.json").is_file():
                more: dict[str, Any] = {"accents": ACCENTS, "disguised": DISGUISED}
                write_files(examples, folder / "data", split=folder.name, **more, seed=SEED + seed)
            work, stranger = folder / "network", folder.parent / "stranger"
            stack(folder / "data", folder / "scorer", work=work, stranger=stranger, seed=seed)
        self.scorer = load_judge(folder / "scorer")

    def probabilities(self, examples: Sequence[Example]) -> np.ndarray:
        return self.scorer.probabilities([e.text for e in examples])


def rows_of(examples: Sequence[Example]) -> Rows:
    """The rows that the scorer of `examples` is fitted on."""
    import tempfile

    from training.spam.stacking import read_rows

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(examples, folder, split=None, accents=ACCENTS, disguised=DISGUISED, seed=SEED)
        return joined(read_rows(folder / "train.jsonl"), read_rows(folder / "valid.jsonl"))
