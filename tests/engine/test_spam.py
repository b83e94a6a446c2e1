"""Verdicts, the hashed scorer, and Classify over the worker's pipe."""

from __future__ import annotations

import io
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.email_text.normalise import VERSION, for_model
from engine.errors import ModelFolderError
from engine.protocol import Failed, Shutdown, decode, encode
from engine.questions import Classify, Verdicts
from engine.spam import topics
from engine.spam.features import GROUPS, features, features_of, letter_groups, mixed, part_of, read
from engine.spam.hashed_scorer import GAPS, SHORT, VIEWS, HashedScorer, gaps, parts_of
from engine.spam.judge import OTHER, decide, threshold_for
from engine.spam.judge import moved as log_odds_added
from engine.spam.loading import BUNDLED, CLASSICAL, load_judge
from engine.spam.structure import structure
from engine.spam.topics import about, mentions, subjects
from engine.worker import Worker

SPAM = for_model("Buy cheap viagra now, 100% guaranteed! Click http://pills.example.com/ to order. Make $5,000 a week!")
HAM = for_model(
    "Hi Tom, shall we meet for lunch tomorrow? The project meeting on Thursday was moved to the big room. Anna"
)


def tiny(weights: dict[str, float], views: dict[str, float] | None = None) -> HashedScorer:
    """A scorer of 2**12 columns in which each given word has a weight and nothing else has."""
    table = np.zeros(2**12, dtype=np.float32)
    for word, weight in weights.items():
        table[read(word, 12).words[0][0]] = weight
    mix = dict.fromkeys(VIEWS, 0.0) | (views or {"whole": 2.0})
    config = {"bits": 12, "bias": -1.0, "views": mix, "offset": 0.5, "thresholds": [[0.0, 0.9], [0.01, 0.7]]}
    return HashedScorer("tiny", table, config)


def test_letter_groups_are_those_of_a_plain_loop() -> None:
    """Equal groups share a column wherever they stand; a text has as many as a loop counts."""
    groups = letter_groups("abcab")
    padded = " abcab "
    for size, found in zip(GROUPS, groups, strict=True):
        expected = [padded[start : start + size] for start in range(len(padded) - size + 1)]
        assert len(found) == len(expected)
        assert len(set(found.tolist())) == len(set(expected))
    columns, others = (mixed(np.concatenate(letter_groups(text)), 16) for text in ("abcab", "xabcx"))
    assert len(set(columns.tolist()) & set(others.tolist())) == 1, "of all groups only abc is shared"


def test_features_see_neither_case_nor_kind_of_space_but_for_the_observations() -> None:
    one, other = read("Buy  cheap\nPILLS now", 16), read("buy cheap pills now", 16)
    for name in ("words", "letters"):
        for left, right in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(left, right)
    assert set(one.seen) != set(other.seen)
    assert len(one.seen) == len(read("", 16).seen)
    rich = "cheap pills, a loan, a meeting, stock, software, a prize, dinner, the kernel"
    assert np.square(features(rich, 16).values).sum() == pytest.approx(1.0, abs=1e-5)
    assert np.square(features("xyzzy", 16).values).sum() < 1


def test_observations_tell_what_a_text_looks_like() -> None:
    found = dict(item.rsplit(":", 1) for item in structure("Re: FREE <url 1.2.3.4 figures>!!\n> wrote\n<money 4>"))
    for name in ("link", "money", "odd links", "shout", "first reply", "quoted", "capital words"):
        assert int(found[name]) > 0, name
    plain = dict(item.rsplit(":", 1) for item in structure("see you at lunch"))
    assert all(int(plain[name]) == 0 for name in ("link", "money", "shout", "first reply", "quoted", "capitals"))
    assert len(structure("")) == len(found)


def test_the_probability_is_that_of_the_formula() -> None:
    scorer = tiny({"pills": 3.0})
    found = features("pills pills for you", 12)
    margin = scorer.weights[found.columns] @ found.values - 1.0
    assert scorer.probabilities(["pills pills for you"])[0] == pytest.approx(1 / (1 + np.exp(-(2.0 * margin + 0.5))))


def test_spam_is_found_in_a_half_of_a_mail() -> None:
    scorer = tiny({"pills": 30.0, "lunch": -9.0}, {"beginning": 1.0})
    honest, spam = "we meet for lunch on the green hill " * 60, "pills pills pills"
    for place, padded in enumerate((f"{spam} {honest}", f"{honest} {spam} {honest[:1800]}", f"{honest} {spam}"), 1):
        views = scorer.views([padded])[0, : len(VIEWS)]
        assert views.argmax() == place
        assert scorer.margins([padded])[0] == pytest.approx(views[1] + 0.5)
    assert scorer.views([honest])[0][1] < 0
    short = scorer.views(["pills"])[0]
    assert short.tolist() == [short[0]] * len(VIEWS) + [0.0], "a short text is its own half"
    assert scorer.views(["x " * (SHORT // 2 + 5)]).shape == (1, len(VIEWS) + 1)


def test_halves_that_contradict_each_other_count_from_the_gap_on() -> None:
    """Of honest mail the end is more like spam (an advertisement at its foot) more often than the beginning."""
    views = np.array(
        [
            [0.0, 6.0, 1.0, -3.0, 0.0],  # the beginning by 9
            [0.0, -3.0, 1.0, 6.0, 0.0],  # the end by 9
            [0.0, -3.0, 4.0, -2.0, 0.0],  # the middle by 6
            [0.0, 1.0, 1.0, 1.0, 0.0],
        ]
    )
    assert GAPS == (4.0, 2.0, 8.0)
    assert gaps(views).tolist() == [5.0, 1.0, 4.0, 0.0]
    scorer = tiny({}, {"whole": 1.0})
    assert scorer.gaps_from == GAPS, "a scorer that does not say it was fitted so"
    plain = scorer.mixed(views)
    scorer.gap, scorer.gaps_from = 2.0, (6.0, 3.0, 9.0)
    assert (scorer.mixed(views) - plain).tolist() == [6.0, 0.0, 6.0, 0.0]
    assert tiny({}).gap == 0.0, "a scorer that was made before there were gaps has none"


def test_a_scorer_that_looked_at_other_parts_of_a_mail_is_an_earlier_one(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED / CLASSICAL, tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    old = {"whole": 0.6, "strongest half": 0.0, "middle half": 0.0, "weakest half": 0.0}
    (tmp_path / "old" / "config.json").write_text(json.dumps(config | {"views": old}))
    with pytest.raises(ModelFolderError, match="made by an earlier homespun"):
        load_judge(tmp_path / "old")
    (tmp_path / "old" / "config.json").write_text(json.dumps(config | {"gaps_from": [4.0]}))
    with pytest.raises(ModelFolderError, match="damaged"):
        load_judge(tmp_path / "old")


def test_a_part_of_a_reading_is_what_stands_there() -> None:
    text = "buy cheap pills at our pharmacy now and meet me for lunch tomorrow"
    end = text.index(" and")
    whole, part, alone = read(text, 16), part_of(read(text, 16), 0, end), read(text[:end], 16)
    np.testing.assert_array_equal(part.words[0], alone.words[0])
    np.testing.assert_array_equal(part.subjects, alone.subjects)
    assert {*part.letters[0].tolist()} >= {*alone.letters[0][:-1].tolist()}
    last = part_of(whole, end, whole.length)
    np.testing.assert_array_equal(last.subjects, read(text[end:], 16).subjects)
    shorter, longer = features_of([last, whole])
    assert len(shorter.columns) < len(longer.columns)


@given(st.lists(st.text(max_size=300), max_size=6), st.integers(1, 500))
@settings(max_examples=60, deadline=None)
def test_texts_together_have_the_features_that_each_has_alone(texts: list[str], together: int) -> None:
    texts = [SPAM, *texts, "", HAM * 3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.spam.hashed_scorer.TOGETHER", together)
        found = list(parts_of(texts, 16))
    assert len(found) == len(texts)
    for text, parts in zip(texts, found, strict=True):
        (alone,) = parts_of([text], 16)
        for one, other in zip((*parts, features(text, 16)), (*alone, alone[0]), strict=True):
            np.testing.assert_array_equal(one.columns, other.columns)
            np.testing.assert_array_equal(one.values, other.values)
    assert features_of([]) == []


def test_words_of_one_subject_share_what_is_learned_of_it() -> None:
    names = {name: number for number, name in enumerate(_subject_names())}
    for words, name in ((["viagra", "pills", "xyzzy", "pharmacy"], "medicine"), (["agenda", "meeting"], "meeting")):
        found = mentions(words)
        here = found[found[:, 2] == names[name]]
        assert here[:, 0].tolist() == [place for place, word in enumerate(words) if word != "xyzzy"]
    texts = [[word, "xyzzy"] for word in ("levitra", "xanax", "agenda")] + [["xyzzy"]]
    hashes, owners = about([mentions(words) for words in texts], [len(words) for words in texts])
    one, other, third, none = (set(hashes[owners == text].tolist()) for text in range(len(texts)))
    assert one == other, "neither word need have been seen"
    assert one != third
    assert one
    assert not none
    assert len(subjects().columns[0]) == len(names) > 20


def _subject_names() -> list[str]:
    lines = (Path(topics.__file__).parent / "topics.txt").read_text(encoding="utf-8").splitlines()
    return [line.partition(":")[0] for line in lines if line.strip() and not line.startswith("#")]


def test_evidence_points_at_the_word_that_weighs() -> None:
    text = "these pills are not for the meeting"
    found = tiny({"pills": 5.0, "meeting": -4.0}).evidence(text)
    assert "pills" in text[found[0].start : found[0].end]
    assert found[0].weight > 0
    assert min(found, key=lambda e: e.weight).weight < 0


def test_three_answers() -> None:
    assert [decide(p, 0.9) for p in (0.95, 0.9, 0.7, 0.4)] == ["spam", "spam", "unsure", "not spam"]
    assert decide(0.4, 0.3) == "spam"


def test_thresholds_are_the_stricter_ones() -> None:
    table = [[0.0, 0.99], [0.001, 0.9], [0.01, 0.7]]
    assert [threshold_for(rate, table) for rate in (0.0, 0.0005, 0.001, 0.005, 0.01, 1.0)] == [
        0.99,
        0.99,
        0.9,
        0.9,
        0.7,
        0.7,
    ]


@pytest.mark.parametrize(("folder", "most"), [(BUNDLED, 40_000_000), (CLASSICAL, 5_000_000)])
def test_the_scorers_that_ship(folder: Path, most: int) -> None:
    judge = load_judge(folder)
    spam, ham, empty = judge.judge([SPAM, HAM, ""], 0.01)
    assert (spam.answer, ham.answer) == ("spam", "not spam")
    assert spam.evidence
    assert 0 <= empty.probability <= 1
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < most
    strict = judge.judge([SPAM], 0.0)[0]
    assert strict.threshold >= spam.threshold
    card = (folder / "README.md").read_text(encoding="utf-8")
    for word in ("SpamAssassin", "2006", "Licence", "false alarms"):
        assert word in card


def test_a_scorer_of_an_earlier_homespun_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "scorer"
    shutil.copytree(BUNDLED, folder)
    path = folder / "classical" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["features_version"]
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=r"made by an earlier homespun.* learn from your corrections again"):
        load_judge(folder)


@pytest.mark.parametrize("damage", ["version", "weights", "config", "architecture"])
def test_a_damaged_scorer_is_a_sentence(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "scorer"
    shutil.copytree(CLASSICAL, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"cut short")
    elif damage == "config":
        (folder / "config.json").write_text("{", encoding="utf-8")
    else:
        config |= {"normaliser_version": VERSION + 1} if damage == "version" else {"architecture": "else"}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=str(folder)):
        load_judge(folder)


@pytest.mark.parametrize("damage", ["version", "network", "no network", "no hashed one", "stack", "thresholds"])
def test_a_damaged_stack_is_a_sentence(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "scorer"
    shutil.copytree(BUNDLED, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if damage == "network":
        (folder / "neural" / "model.safetensors").write_bytes(b"cut short")
    elif damage in ("no network", "no hashed one"):
        shutil.rmtree(folder / ("neural" if damage == "no network" else "classical"))
    else:
        changes = {
            "version": {"normaliser_version": VERSION + 1},
            "stack": {"stack": {}},
            "thresholds": {"thresholds": 1},
        }
        (folder / "config.json").write_text(json.dumps(config | changes[damage]), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=str(folder)):
        load_judge(folder)


def test_a_scorer_that_ships_goes_by_its_name() -> None:
    assert load_judge(Path("homespun-spam-classical")).kind == "classical"
    assert load_judge().kind == "neural"
    with pytest.raises(ModelFolderError):
        load_judge(Path("no-such-scorer"))


def test_honest_mail_is_explained_unless_that_is_not_wanted() -> None:
    judge = load_judge(Path("homespun-spam-classical"))
    every, only_spam = judge.judge([SPAM, HAM], 1.0), judge.judge([SPAM, HAM], 1.0, honest=False)
    assert [verdict.answer for verdict in every] == ["spam", "not spam"]
    assert all(verdict.evidence for verdict in every)
    assert only_spam == [every[0], replace(every[1], evidence=())]


def test_what_is_known_beside_a_text_moves_its_verdict() -> None:
    judge = load_judge(Path("homespun-spam-classical"))
    alone = judge.judge([SPAM, HAM], evidence=False)
    moved = judge.judge([SPAM, HAM], evidence=False, beside=(-2.0, 3.0))
    odds = [[p / (1 - p) for p in (verdict.probability for verdict in each)] for each in (alone, moved)]
    assert [math.log(after / before) for before, after in zip(*odds, strict=True)] == pytest.approx([-2.0, 3.0])
    assert judge.judge([SPAM, HAM], evidence=False, beside=(0.0, 0.0)) == alone


def test_what_a_mail_says_elsewhere_counts_where_it_is_much_more_like_spam() -> None:
    judge = load_judge(Path("homespun-spam-classical"))
    alone = judge.judge([HAM, SPAM, HAM], 0.01, evidence=False)
    found = judge.judge([HAM, SPAM, HAM], 0.01, evidence=False, others=((HAM, SPAM), (HAM, SPAM), ()))
    assert [verdict.reading for verdict in found] == [1, None, None]
    assert found[0].probability == pytest.approx(log_odds_added(alone[1].probability, -OTHER))
    assert found[1:] == alone[1:]
    added = judge.judge([HAM], evidence=False, beside=(1.0,), others=((SPAM,),))[0]
    assert added.probability == pytest.approx(log_odds_added(found[0].probability, 1.0))


def test_the_worker_refuses_numbers_that_belong_to_no_text() -> None:
    out = io.BytesIO()
    worker = Worker(out)
    for beside in ((1.0,), (1.0, math.nan), (1.0, math.inf)):
        worker.handle(Classify("1", (SPAM, HAM), evidence=False, beside=beside))
    assert all(isinstance(decode(line), Failed) for line in out.getvalue().splitlines())


def test_the_worker_judges_without_a_model() -> None:
    out = io.BytesIO()
    worker = Worker(out)
    worker.handle(Classify("1", (SPAM, HAM), false_alarms=0.01))
    worker.handle(Classify("2", (SPAM,), scorer="/nowhere"))
    worker.handle(Classify("3", (SPAM,), false_alarms=7.0))
    worker.handle(Classify("4", (), evidence=False))
    worker.handle(Classify("5", (SPAM,), scorer="homespun-spam-classical"))
    good, bad, wrong, none, yardstick = (decode(line) for line in out.getvalue().splitlines())
    assert isinstance(good, Verdicts)
    assert [row["answer"] for row in good.verdicts] == ["spam", "not spam"]
    assert (good.scorer, good.scorer_kind) == ("homespun-spam", "neural")
    assert isinstance(yardstick, Verdicts)
    assert (yardstick.scorer, yardstick.scorer_kind) == ("homespun-spam-classical", "classical")
    for answer in (good, yardstick):
        start, end, weight = answer.verdicts[0]["evidence"][0]
        assert SPAM[start:end].strip()
        assert weight > 0
    assert isinstance(bad, Failed)
    assert "/nowhere" in bad.message
    assert isinstance(wrong, Failed)
    assert isinstance(none, Verdicts)
    assert none.verdicts == ()


def test_judging_by_the_hashed_scorer_imports_no_torch() -> None:
    code = """import sys, engine.worker
from engine.questions import Classify
from engine.spam.judging import Judges
Judges().answer(Classify("1", ("a",), "homespun-spam-classical"))
print('torch' in sys.modules)"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_over_the_pipe() -> None:
    command = [sys.executable, "-m", "engine.worker"]
    asked = encode(Classify("1", (SPAM,))) + encode(Shutdown())
    done = subprocess.run(command, input=asked, capture_output=True, timeout=60)
    answer = decode(done.stdout.splitlines()[0])
    assert isinstance(answer, Verdicts)
    assert done.returncode == 0
