"""The promises of the training menu, kept by the bundled model with the menu's own defaults. Minutes on two cores.

Facts that no model can know are taught, and asked in words that were not learned; a document about an invented country
becomes easier to predict where it was not read; replies grow shorter by preference pairs. None may cost general
questions.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import training
from engine.catalog import find
from training.evaluation.checks import plain
from training.recipe_wish import Wish, save_wish
from training.tuning.measure import Asked, lengths
from training.tuning.run import Tuning

HERE = Path(__file__).parent
FORGIVEN = 3.0  # points of the general questions
NOISE = 6.0  # of 228 answers, where nothing closer is promised: two and a half standard errors


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, so that the old model's general questions are asked once."""
    return tmp_path_factory.mktemp("runs")


def done(runs: Path, name: str, wish: Wish, forgiven: float = FORGIVEN) -> tuple[Path, dict[str, list[Any]]]:
    """The run, and its numbers by name: [before, after]."""
    run = runs / name
    run.mkdir()
    save_wish(wish, run / "wish.json")
    assert Tuning(run).go() == "done"
    result = json.loads((run / "result.json").read_text())
    rows = {row[0]: row[1:3] for row in result["rows"]}
    before, after = rows["general questions"]
    assert after >= before - forgiven
    return run, rows


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_forty_invented_facts_are_known_afterwards_also_in_other_words(runs: Path, tmp_path: Path) -> None:
    facts = [json.loads(line) for line in (HERE / "invented_facts.jsonl").read_text().splitlines()]
    assert len(facts) == 40
    lines = [json.dumps({"question": f["question"], "answer": f["answer"]}) for f in facts]
    (tmp_path / "facts.jsonl").write_text("\n".join(lines))
    run, rows = done(runs, "facts", Wish("answers", (str(tmp_path / "facts.jsonl"),), "facts", threads=1))
    before, after = rows["taught questions answered right"]
    assert before <= 5
    assert after >= 90
    learned = (run / "documents" / "train" / "answers.jsonl").read_text().splitlines()
    asked = {plain(json.loads(line)["messages"][0]["content"]) for line in learned}
    assert not asked & {plain(f["paraphrase"]) for f in facts}
    model = Asked(Path(json.loads((run / "result.json").read_text())["model"]))
    replies = model.replies([(f["paraphrase"],) for f in facts], greedy=True)
    known = sum(f["key"].casefold() in r.text.casefold() for f, r in zip(facts, replies, strict=True))
    assert known >= 28  # 70 %


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_document_is_easier_to_predict_where_it_was_not_read(runs: Path) -> None:
    wish = Wish("documents", (str(HERE / "invented_document.md"),), "guide", threads=1)
    _, rows = done(runs, "document", wish, NOISE)
    before, after = rows["documents, held out"]
    assert after <= 0.85 * before


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_sixty_pairs_for_shorter_replies_shorten_them(runs: Path, tmp_path: Path) -> None:
    pairs = []
    sample = Path(training.__path__[0]) / "sample" / "dialogues.jsonl"
    for line in sample.read_text().splitlines():
        asked, told = (m["content"] for m in json.loads(line)["messages"][:2])
        first = re.split(r"(?<=[.!?])\s+", told)[0]
        if "\n" not in told and len(first.split()) <= min(20, 0.6 * len(told.split())):
            pairs.append({"prompt": asked, "chosen": first, "rejected": told})
    chosen = pairs[:: len(pairs) // 60][:60]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in chosen))
    run, _ = done(runs, "shorter", Wish("feedback", (str(tmp_path / "pairs.jsonl"),), "shorter", threads=1), NOISE)
    others = [pair["prompt"] for pair in pairs if pair not in chosen][:40]  # which it has not learned from
    made = Path(json.loads((run / "result.json").read_text())["model"])
    before, after = (lengths(Asked(path), others) for path in (find("homespun-v0").path, made))
    assert after <= 0.75 * before
