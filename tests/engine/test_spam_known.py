"""Known spam: marks of spam that was learned, found again in other text; which columns are marks; the folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.email_text.normalise import VERSION
from engine.errors import ModelFolderError
from engine.spam import features as feature_module
from engine.spam.features import features
from engine.spam.hashed_scorer import VIEWS, HashedScorer
from engine.spam.known import ALL, FROM, NOTHING, Known, familiar, from_tensors
from training.spam.marking import FEWEST, MARKS, marked, taught
from training.spam.traces import Traces

BITS = 16
SPAM = (
    "Dearest one, I am the widow of a minister and hold eleven million in a vault at the central bank of Zamunda.",
    "Your kitchen knives are dull! Order the Sharpomatic before Thursday and carve roasts as butchers do, ring now.",
)
HONEST = (
    "The ferry leaves at seven from the northern quay, please bring the drawings of the second floor along.",
    "Could you look over chapter four of my thesis by Wednesday? The figures about herring are still missing.",
)


@pytest.fixture(scope="module")
def known() -> Known:
    return marked([features(text, BITS) for text in (*SPAM, *HONEST)], np.array([True, True, False, False]), BITS)


def share(known: Known, text: str) -> float:
    return known.share(features(text, BITS).columns)


def test_the_share_is_that_of_a_plain_loop(known: Known) -> None:
    assert known.sizes.tolist() == [MARKS] * len(SPAM)
    for text in (*SPAM, *HONEST, SPAM[1].replace("knives", "scissors"), f"{SPAM[0][:60]} {HONEST[0]}", ""):
        columns = set(features(text, BITS).columns.tolist())
        marks = [set(known.columns[known.spams == spam].tolist()) for spam in range(len(known.sizes))]
        assert share(known, text) == pytest.approx(max(len(each & columns) / len(each) for each in marks))


def test_spam_is_known_with_small_changes_and_with_honest_text_around_it(known: Known) -> None:
    for text in SPAM:
        assert share(known, text) == 1.0
        assert share(known, f"{HONEST[0]} {text.replace(' the ', ' our ')} {HONEST[1]}") > ALL
    assert max(share(known, text) for text in HONEST) < FROM
    assert share(NOTHING, SPAM[0]) == 0.0


def test_what_is_familiar_begins_above_chance_and_ends_at_certainty() -> None:
    assert [familiar(share) for share in (0.0, FROM, ALL, 1.0)] == [0.0, 0.0, 1.0, 1.0]
    assert familiar((FROM + ALL) / 2) == pytest.approx(0.5)


def test_only_rare_columns_of_spam_are_marks_and_spam_sent_twice_has_them_once() -> None:
    mails = [features(text, BITS) for text in (*SPAM, f"{SPAM[0]} Hello", "pills", *HONEST)]
    spam = np.array([True, True, True, True, False, False])
    known = marked(mails, spam, BITS)
    assert len(known.sizes) == len(SPAM), "the third is the first, and the fourth has too little of its own"
    assert len(mails[3].columns) >= FEWEST, "of what it shows hardly anything is rare"
    again = marked(mails, spam, BITS)
    for one, other in zip(known.tensors().values(), again.tensors().values(), strict=True):
        np.testing.assert_array_equal(one, other)
    many = marked([features(text, BITS) for text in (*SPAM, *(SPAM[0] for _ in range(9)))], np.ones(11, bool), BITS)
    assert len(many.sizes) == 1, "what stands in many mails is no mark"
    assert not len(marked(mails, ~spam, BITS).sizes[2:])


def traces(texts: tuple[str, ...], spam: list[bool]) -> Traces:
    """Old mail as a scorer remembers it: here nothing but columns counts."""
    mails, none = [features(text, BITS) for text in texts], np.zeros(len(texts))
    columns, values = (np.concatenate([getattr(mail, name) for mail in mails]) for name in ("columns", "values"))
    sizes = np.array([len(mail.columns) for mail in mails])
    return Traces(np.array(spam), sizes, columns.astype(np.int64), values, none, np.zeros((len(texts), 0)), none)


NEW = "Raffle winner! Your voucher for a cruise around the fjords is ready, pay the harbour fee by Friday to board."


def test_corrected_spam_is_known_when_it_comes_back(known: Known) -> None:
    old, again = traces(HONEST, [False, False]), NEW.replace("Friday", "Monday").replace("voucher", "coupon")
    grown = taught(known, [features(text, BITS) for text in (NEW, f"{NEW} Hurry")], np.array([True, True]), old)
    assert len(grown.sizes) == len(known.sizes) + 1, "once"
    assert share(known, NEW) < FROM < ALL < share(grown, again)
    for text in SPAM:
        assert share(grown, text) == share(known, text)
    assert max(share(grown, text) for text in HONEST) < FROM


def test_what_honest_mail_has_is_no_mark_of_corrected_spam(known: Known) -> None:
    """Neither of old mail, of which a quarter of the letter groups is known, nor of what a person calls honest."""
    mail = [features(NEW, BITS)]
    old = traces((f"{NEW[:70]} {HONEST[0]}", *HONEST * 100), [False] * 201)
    assert len(taught(known, mail, np.array([True]), old).sizes) == len(known.sizes)
    assert len(taught(known, mail, np.array([True]), traces(HONEST, [False, False])).sizes) == len(known.sizes) + 1
    honest = [features(SPAM[0], BITS)]
    left = taught(known, honest, np.array([False]), traces(HONEST, [False, False]))
    assert share(left, SPAM[0]) < FROM, "spam that is called honest is known no more"
    assert share(left, SPAM[1]) == 1.0


def test_known_spam_adds_its_weight(known: Known) -> None:
    views = dict.fromkeys(VIEWS, 0.0)
    config = {"bits": BITS, "bias": 0.0, "views": views, "offset": -1.0, "known": 4.0, "thresholds": [[0.0, 0.9]]}
    scorer = HashedScorer("tiny", np.zeros(2**BITS, np.float32), config, known)
    assert scorer.margins([SPAM[0], HONEST[0], ""]).tolist() == [3.0, -1.0, -1.0]
    assert scorer.views([SPAM[0]])[0, -1] == 1.0


def test_the_folder_holds_the_marks_and_a_damaged_one_is_a_sentence(known: Known, tmp_path: Path) -> None:
    config = {
        "bits": BITS,
        "bias": 0.0,
        "views": dict.fromkeys(VIEWS, 0.0),
        "offset": 0.0,
        "thresholds": [[0.0, 0.9]],
        "normaliser_version": VERSION,
        "features_version": feature_module.VERSION,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = {"weights": np.zeros(2**BITS, np.float16)}
    path = tmp_path / "model.safetensors"
    save_file(weights, path)
    assert HashedScorer.load(tmp_path).known is NOTHING, "a scorer that was made before there were marks"
    save_file(weights | known.tensors(), path)
    opened = HashedScorer.load(tmp_path)
    assert share(opened.known, SPAM[0]) == 1.0
    for name, wrong in (
        ("known_columns", known.columns[::-1].copy()),
        ("known_spams", known.spams[1:].copy()),
        ("known_spams", known.spams + np.uint16(9)),
        ("known_sizes", known.sizes[:1].copy()),
        ("known_sizes", known.sizes.astype(np.float32)),
    ):
        save_file(load_file(path) | known.tensors() | {name: wrong}, path)
        with pytest.raises(ModelFolderError, match="damaged"):
            HashedScorer.load(tmp_path)
    with pytest.raises(ValueError, match="do not fit"):
        from_tensors({"known_columns": known.columns})
