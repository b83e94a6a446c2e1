"""The spam scorer's run: the corrections as rows, the new scorer in the run's folder, old and new compared.

Owns nothing of how a scorer learns: that is `training/spam/retrain.py`. It takes seconds, so there are no checkpoints;
a run that was cut off begins anew.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.spam.loading import BUNDLED
from training.errors import TrainingError
from training.recipe_wish import Wish
from training.spam.memory import read_memory
from training.spam.retrain import Comparison, retrain
from training.tuning.layout import Laid, Row
from training.tuning.recipes import Amounts

SHOWN = 2000  # characters of a mail that a preview shows


@dataclass(frozen=True)
class Correction:
    """A mail as the normaliser made it, and what it really is."""

    text: str
    label: str


def read(wish: Wish) -> list[Correction]:
    """The corrections of `wish`, each mail once, with what was said of it last.

    Raises:
        TrainingError: the file is missing or has other lines than objects with text and label.
    """
    found: dict[str, Correction] = {}
    for name in wish.files:
        try:
            for line in Path(name).read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                found[row["text"]] = Correction(str(row["text"]), str(row["label"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{name} cannot be read as corrections ({error}).") from error
    if not found:
        raise TrainingError("There are no corrections to learn from.")
    return list(found.values())


def lay_out(wish: Wish) -> Laid:
    """The corrections as rows of a preview. Nothing is written.

    Raises:
        TrainingError: as `read`.
        ModelFolderError: what the scorer remembers is damaged.
    """
    corrections = read(wish)
    rows = [
        Row(f"correction {number}", [(one.text[:SHOWN], 0), (f" → {one.label}", 1)])
        for number, one in enumerate(corrections, 1)
    ]
    counts = Counter(one.label for one in corrections)
    notes = ["Corrections: " + ", ".join(f"{count} {label}" for label, count in counts.most_common()) + "."]
    notes.append(_old_mail(wish))
    return Laid(Amounts(len(corrections), len(corrections)), rows, notes)


def _old_mail(wish: Wish) -> str:
    """What is mixed in and compared on, in a sentence."""
    if wish.old_mail:
        return f"Old mail is mixed in, and compared on: {wish.old_mail}."
    memory = read_memory(Path(wish.scorer) if wish.scorer else BUNDLED)
    if memory is None:
        return NO_OLD_MAIL
    return (
        f"{len(memory.replayed):,} old mails are mixed in, and old and new scorer are compared on "
        f"{len(memory.benchmark):,} others. The scorer remembers them in figures, not in words."
    )


NO_OLD_MAIL = "There is no old mail to mix in or to compare on; the old weights are the memory."


def correct(run: Path, wish: Wish) -> dict[str, Any]:
    """Make `run/model/NAME` and `run/result.json`; returns the result. A scorer that is worse is made, and said to be.

    Raises:
        TrainingError, EngineError: something cannot be read, in one sentence.
    """
    folder = run / "model" / wish.name
    shutil.rmtree(folder, ignore_errors=True)
    corrections = run / "corrections.jsonl"
    lines = (json.dumps({"text": one.text, "label": one.label}) + "\n" for one in read(wish))
    corrections.write_text("".join(lines), encoding="utf-8")
    scorer, data = (Path(text) if text else None for text in (wish.scorer, wish.old_mail))
    found = retrain(scorer, corrections, data, folder, always=True)
    result = {
        "kind": wish.kind,
        "model": str(folder),
        "name": wish.name,
        "base": wish.scorer or "homespun-spam",
        "rows": _rows(found),
        "warnings": _warnings(found),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    temporary = run / "result.tmp"
    temporary.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(run / "result.json")
    return result


def _warnings(found: Comparison) -> list[str]:
    if found.worse:
        return ["The new scorer is worse than the old one: better not adopt it."]
    return ["It answers all of them as before: more corrections of the kind would help."] if found.idle else []


def _rows(found: Comparison) -> list[list[Any]]:
    """Rows [what, before, after, unit], as `results.compared` makes them."""
    counted = (("corrections judged right", found.right), ("corrections answered right and not “unsure”", found.plain))
    rows: list[list[Any]] = [
        [what, *(round(100 * n / found.corrections, 1) for n in counts), "%"] for what, counts in counted
    ]
    if found.benchmark:
        shares = (round(100 * share, 2) for share in (found.accuracy_before, found.accuracy_after))
        rows.append([f"{found.benchmark:,} other mails judged right", *shares, "%"])
    return rows
