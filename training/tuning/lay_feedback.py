"""Learning from feedback: pairs of a better and a worse reply, for the stage `dpo`. The app writes the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.data.preferences import as_chat, encode_reply
from training.data.tables import read_table
from training.data.vocabulary import Vocabulary
from training.recipe_wish import Wish
from training.tuning.answers import files_of
from training.tuning.layout import Laid, Row, shown, too_few
from training.tuning.recipes import Amounts

PROMPTS = 64  # replies to which are measured in words


def lay_out(wish: Wish, run: Path, vocabulary: Vocabulary | None) -> Laid:
    """`run/data/preferences.jsonl`. See `layout.lay_out`."""
    assert vocabulary is not None
    laid, kept, seen = Laid(Amounts(0, 0)), [], set()
    for path in files_of([Path(name) for name in wish.files], (".jsonl", ".csv", ".tsv")):
        for number, row in enumerate(read_table(path.parent, path.name, COLUMNS, path.name), 1):
            mark = json.dumps([row[name] for name in COLUMNS])
            shown_row = _row(f"{path.name}, row {number}", row, wish, vocabulary)
            if not shown_row.problem and mark in seen:
                shown_row.problem = "the same as an earlier pair"
            seen.add(mark)
            laid.rows.append(shown_row)
            if not shown_row.problem:
                kept.append({name: row[name] for name in COLUMNS})
                if isinstance(row["prompt"], str):
                    laid.prompts.append(row["prompt"])
    too_few(wish, laid, "pairs")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    (run / "data" / "preferences.jsonl").write_text(lines, encoding="utf-8")
    laid.length_prompts = list(dict.fromkeys(laid.prompts))[:PROMPTS]
    laid.amounts = Amounts(len(kept), len(kept))
    return laid


COLUMNS = ("prompt", "chosen", "rejected")


def _row(place: str, row: dict[str, Any], wish: Wish, vocabulary: Vocabulary) -> Row:
    chat = as_chat(row["prompt"])
    better, worse = str(row["chosen"]).strip(), str(row["rejected"]).strip()
    if not chat or not better or not worse:
        return Row(place, [(str(row["prompt"])[:200], 0)], problem="an empty turn")
    good, bad = (encode_reply(vocabulary.template, chat, text) for text in (better, worse))
    # The better reply as it is learned; the worse one behind it, for the eye.
    parts = [*shown(vocabulary, good.tokens, good.mask), (f"\n✗ {worse}", 0)]
    longest = max(len(good.tokens), len(bad.tokens))
    problem = "both replies are the same" if better == worse else ""
    if longest > wish.context:
        problem = f"longer than {wish.context} tokens"
    return Row(place, parts, longest, problem)
