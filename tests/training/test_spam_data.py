"""The spam lab: corpora, accents, rewrites, splits, measures, the training files and the table, on tiny corpora."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.email_text.normalise import for_model, normalise
from training.errors import TrainingError
from training.spam.accent import cut, is_tokenised, redo_tokenised, undo_tokenised, vary
from training.spam.card import TEXT
from training.spam.corpora import read_corpus
from training.spam.english import FEEDS, english
from training.spam.measures import calibration_error, expected_threshold, measure, threshold_at
from training.spam.prepare import DISGUISES, KINDS, prepare
from training.spam.prepare import rows as make_rows
from training.spam.rewrites import REWRITES, UNSEEN
from training.spam.splits import NAMES, Corpora, example, rewritten
from training.spam.table import main as spam_table
from training.spam.written import FOLDER, blocks_of, by_hand, written

WORDS = {
    True: "cheap viagra casino money offer click guaranteed order free winner prize loan credit pills",
    False: "meeting report lunch project tomorrow thanks patch kernel list monday draft agreement house",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three little corpora of made-up mail."""
    folder = tmp_path_factory.mktemp("spam")
    rng = random.Random(0)
    for name in ("spamassassin", "enron_spam", "sms_spam_collection"):
        with (folder / f"{name}.jsonl").open("w") as file:
            for number in range(240):
                spam = number % 3 == 0
                words = " ".join(
                    rng.choices([*WORDS[spam].split(), *WORDS[spam].split(), "the", "you", "and", "for", "with"], k=30)
                )
                row = {"label": "spam" if spam else "ham", "text": f"{words} . {words} , see http : / / x . com / a ."}
                if name == "spamassassin":
                    row["date"] = f"{1 + number % 28:02d} {('Jan', 'Jun', 'Sep')[number % 3]} 2002 10:00:00 +0000"
                file.write(json.dumps(row) + "\n")
            file.write(json.dumps(row | {"text": row["text"].upper() + " 77"}) + "\n")
    return folder


def test_enrons_spelling_is_undone() -> None:
    text = "visit http : / / www . abc . com / x . php now , bob . smith @ enron . com , it ' s $ 5 , 000 ( yes ) !"
    assert is_tokenised(text)
    assert undo_tokenised(text) == "visit http://www.abc.com/x.php now, bob.smith@enron.com, it's $5,000 (yes)!"
    natural = "A natural text, with commas. And (brackets) at 10:30!"
    assert undo_tokenised(natural) == natural
    assert is_tokenised(redo_tokenised(natural))
    assert undo_tokenised(redo_tokenised(natural)) == natural.lower()


@given(st.text(max_size=400), st.text(max_size=30), st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_another_accent_is_a_pure_function_and_never_fails(text: str, subject: str, seed: int) -> None:
    assert vary(text, subject, seed) == vary(text, subject, seed)
    for_model(*vary(text, subject, seed))


def test_accents_differ_by_seed_and_keep_the_words() -> None:
    text = "Dear all, the meeting is on Monday.\nPlease bring the report.\n\nBest,\nAnna"
    made = {vary(text, "Meeting", seed) for seed in range(60)}
    assert len(made) > 15
    for body, subject in made:
        assert "meeting" in f"{subject} {body}".lower()
    assert any(not subject for _, subject in made)
    assert any(body.startswith("> ") for body, _ in made)


def test_cutting_keeps_whole_words() -> None:
    text = " ".join(f"word{n}" for n in range(300))
    for seed in range(20):
        piece = cut(text, random.Random(seed))
        assert set(piece.split()) <= set(text.split())
        assert 150 < len(piece) < len(text)


def test_a_corpus_without_doubles(folder: Path) -> None:
    mails = read_corpus("enron", folder)
    assert len(mails) == 240, "the last one differs only in case and figures"
    assert "http://x.com/a" in mails[0].text
    assert read_corpus("spamassassin", folder)[0].sent.year == 2002  # type: ignore[union-attr]
    with pytest.raises(TrainingError, match="spamassassin"):
        read_corpus("spamassassin", folder / "none")


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_apart_and_repeat(folder: Path, name: str) -> None:
    split, again = Corpora(folder).split(name), Corpora(folder).split(name)
    assert [e.raw for e in split.test] == [e.raw for e in again.test]
    assert not {e.raw for e in split.train} & {e.raw for e in split.test}
    for part in (split.train, split.test):
        assert {e.spam for e in part} == {True, False}
    if name.startswith("without-"):
        left_out = name.removeprefix("without-")
        assert {e.source for e in split.test} == {left_out}
        assert left_out not in {e.source for e in split.train}


def test_the_time_split_trains_on_what_came_before(folder: Path) -> None:
    mails = {(m.subject, m.text): m for m in read_corpus("spamassassin", folder)}
    split = Corpora(folder).split("time")
    for spam in (True, False):
        dates = [[mails[e.subject, e.body].sent for e in part if e.spam == spam] for part in (split.train, split.test)]
        assert max(dates[0]) <= min(dates[1])  # type: ignore[type-var]


def test_rewrites_change_the_mail_and_the_normaliser_undoes_the_disguise(folder: Path) -> None:
    words = set(WORDS[True].split())
    for name, examples in rewritten(Corpora(folder).split("random-1")).items():
        for mail in examples[:20]:
            assert mail.spam
            found = len(words & set(mail.text.lower().split()))
            assert found >= 5, f"{name}: {mail.text}"
    assert set(REWRITES) == {"spacing", "leetspeak", "look-alikes", "good words", "HTML hiding"}


def test_good_words_stand_below_above_or_around_and_only_below_is_learned() -> None:
    ham, spam = ["the quarterly agreement was signed"], "buy cheap pills"
    padded = [REWRITES["good words"], UNSEEN["good words above"], UNSEEN["good words around"]]
    bodies = [rewrite(spam, "offer", random.Random(1), ham)[0] for rewrite in padded]
    below, above, around = (body.index(spam) / (len(body) - len(spam)) for body in bodies)
    assert (below, above) == (0, 1)
    assert 0.4 < around < 0.6
    assert {*DISGUISES} == {"spacing", "leetspeak", "look-alikes", "HTML hiding"}


def test_hidden_good_words_do_not_reach_the_classifier() -> None:
    ham = ["the quarterly agreement was signed"]
    body, _, html = REWRITES["HTML hiding"]("buy cheap pills from our casino today", "offer", random.Random(1), ham)
    assert html
    email = normalise(f"Content-Type: text/html\n\n{body}")
    assert "quarterly" not in email.text
    assert "buy cheap pills from our casino today" in email.text


def test_measures_of_a_worked_example() -> None:
    probabilities = np.array([0.9, 0.8, 0.4, 0.6, 0.1, 0.1])
    spam = np.array([True, True, True, False, False, False])
    found = measure(probabilities, spam)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.caught == pytest.approx(2 / 3)  # no honest mail may reach the threshold: it is just above 0.6
    assert (found.spam, found.ham) == (3, 3)
    assert threshold_at(np.linspace(0, 0.999, 1000), 0.001) == pytest.approx(0.998, abs=1e-9)


def test_a_threshold_is_nearer_to_its_rate_by_the_tail_than_by_the_highest_mail() -> None:
    def ham(count: int, seed: int) -> np.ndarray:  # log-odds with the tail of those of a real scorer
        return 1 / (1 + np.exp(-np.random.default_rng(seed).exponential(1.5, count) + 5))

    true = 1 / (1 + np.exp(-1.5 * np.log(1000) + 5))
    found = {
        rule: np.array([rule(ham(800, seed), 0.001) for seed in range(40)])
        for rule in (expected_threshold, threshold_at)
    }
    log_odds = {rule: np.log(each / (1 - each)) for rule, each in found.items()}
    away = {rule: np.abs(each - np.log(true / (1 - true))).mean() for rule, each in log_odds.items()}
    assert away[expected_threshold] < 0.6 * away[threshold_at]
    some = ham(800, 1)
    levels = [expected_threshold(some, rate) for rate in (0.0, 0.001, 0.002, 0.01, 0.1, 0.5)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > some.max() or levels[0] == pytest.approx(some.max())
    assert expected_threshold(some[:100], 0.01) == threshold_at(some[:100], 0.01), "too few for a tail"
    assert expected_threshold(np.array([0.0, 1.0] * 300), 0.001) <= 1.0
    assert expected_threshold(np.full(500, 0.2), 0.001) >= 0.2


def test_calibration_error_of_a_worked_example() -> None:
    """Ten answers at 0.8, of which six are right: off by 0.2. Ten at 1.0, all right: off by nothing. Together 0.1."""
    probabilities = np.array([0.8] * 10 + [1.0] * 10)
    spam = np.array([True] * 6 + [False] * 4 + [True] * 10)
    assert calibration_error(probabilities, spam) == pytest.approx(0.1)


def test_training_files(folder: Path, tmp_path: Path) -> None:
    report = prepare(folder, tmp_path, split=None, accents=2, disguised=0.5, most=1000, seed=1)
    rows = {name: [json.loads(line) for line in (tmp_path / f"{name}.jsonl").open()] for name in ("train", "valid")}
    assert not {r["text"] for r in rows["train"]} & {r["text"] for r in rows["valid"]}
    assert {r["label"] for r in rows["train"]} == {"spam", "not spam"}
    assert {r["kind"] for r in rows["train"]} == set(KINDS) - {"ordinary", "written", "pair"}
    assert {r["kind"] for r in rows["valid"]} == {"plain"}
    assert {r["fold"] for r in rows["valid"]} == {0}
    assert {r["fold"] for r in rows["train"]} == {1, 2, 3, 4}
    assert {r["source"] for r in rows["train"]} == {"spamassassin", "enron", "sms"}
    texts = [r["text"] for r in rows["train"]]
    assert len(texts) == len(set(texts))
    assert sum(report["train"].values()) == len(texts)


def test_training_files_leave_a_split_out(folder: Path, tmp_path: Path) -> None:
    prepare(folder, tmp_path, split="time", accents=0, disguised=0.0, most=1000, seed=1)
    made = {json.loads(line)["text"] for name in ("train", "valid") for line in (tmp_path / f"{name}.jsonl").open()}
    assert not made & {e.text for e in Corpora(folder).split("time").test}


def test_padding_is_of_the_same_fold(folder: Path, tmp_path: Path) -> None:
    """Else a held-out honest mail would have been seen as a part of spam."""
    prepare(folder, tmp_path, split="random-1", accents=1, disguised=1.0, most=1000, seed=1)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").open()]
    folds: dict[str, set[int]] = {}
    for row in rows:
        if row["kind"] in ("plain", "padded"):
            for line in row["text"].split("\n"):
                folds.setdefault(line, set()).add(row["fold"])
    assert sum(row["kind"] == "padded" for row in rows) > 20
    assert all(len(found) == 1 for line, found in folds.items() if len(line) > 60)


def test_ordinary_english_is_honest_and_of_a_mails_length(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "chat").mkdir()
    blog = "A title\n\n" + "We write about plain words every week. " * 40
    (tmp_path / "raw" / "us_gov_blogs.txt").write_text("<|endoftext|>".join([blog] * 5))
    talk = {"messages": [{"role": "user", "content": "have you seen it"}, {"role": "assistant", "content": "not yet"}]}
    for name in ("self_dialogue", "byu_chitchat"):
        (tmp_path / "chat" / f"{name}.jsonl").write_text(f"{json.dumps(talk)}\n" * 5)
    mails = english(tmp_path, 40)
    items = mails[40:]
    assert len(items) == 40 // FEEDS
    assert all("http://" in item.text and item.subject for item in items)
    assert any(item.text.startswith("URL: ") for item in english(tmp_path, 200)[200:])
    assert not any(mail.spam for mail in mails)
    assert {"have you seen it", "not yet"} & {mail.text for mail in mails}
    assert any(mail.subject == "A title" for mail in mails)
    with pytest.raises(TrainingError, match="cannot be read"):
        english(tmp_path / "none")


def test_mail_written_by_hand_is_drawn_anew_and_labelled(tmp_path: Path) -> None:
    files = sorted(FOLDER.glob("*.txt"))
    assert by_hand([files[0]]) == [mail for file in (*files, files[0]) for mail in written(file)]
    for file in files:
        mails = written(file, 3)
        assert {mail.spam for mail in mails} == {True, False}
        assert not any(sign in f"{mail.subject}{mail.text}" for mail in mails for sign in "{}|")
        assert written(file, 3) == mails
    path = tmp_path / "written.txt"
    blocks = (
        "# two\n# lines",
        "spam pills\n{Buy|Get} pills\nOur {red|{light|dark} blue} pills",
        "ham sms\n\nsee you\n",
    )
    path.write_text("\n\n".join(blocks))
    mails = written(path, 40)
    assert {mail.text for mail in mails if mail.spam} == {f"Our {c} pills" for c in ("red", "light blue", "dark blue")}
    assert [mail.text for mail in mails if not mail.spam] == ["see you"]
    path.write_text("nonsense\n\nspam pills\nsubject\nbody")
    with pytest.raises(TrainingError, match="needs a label"):
        written(path)
    for broken in ("Our {red|blue pills", "Our red|blue pills", "Our {red} blue} pills"):
        path.write_text(f"spam pills\nsubject\n{broken}")
        with pytest.raises(TrainingError, match="'spam pills', 'subject'"):
            written(path)
    rows = list(make_rows([example(mail) for mail in written(files[0], 1)], 1, 1.0, 1))
    assert {row["kind"] for row in rows} == {"written"}, "nothing is measured on them, and they are not disguised"
    pairs = next(file for file in files if file.name.startswith("pairs"))
    rows = list(make_rows([example(mail) for mail in written(pairs, 1)], 1, 1.0, 1))
    assert {(row["kind"], row["source"]) for row in rows} == {("pair", "written")}
    assert KINDS["pair"] > KINDS["written"] > KINDS["plain"]


def test_the_card_tells_how_many_kinds_were_written_by_hand() -> None:
    kinds = {file.name: len(blocks_of(file)) for file in FOLDER.glob("*.txt")}
    paired = sum(count for name, count in kinds.items() if name.startswith("pairs"))
    told = " ".join(TEXT.split())
    assert f"{sum(kinds.values()):,} kinds, " in told
    assert f"{paired:,} of these kinds" in told


def test_more_mail_written_by_hand_joins_only_when_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    following = tmp_path / "following.txt"
    following.write_text("spam pills\n{Buy|Get} pills\nOur {red|blue} pills are {cheap|free}\n\nham sms\n\nsee you\n")
    mails = written(following)
    ours = by_hand()
    assert len(ours) > 10_000
    assert by_hand([following]) == ours + mails
    (tmp_path / "raw").mkdir()
    (tmp_path / "chat").mkdir()
    (tmp_path / "raw" / "us_gov_blogs.txt").write_text("A title\n" + "a blog has many words " * 40)
    talk = json.dumps({"messages": [{"role": "user", "content": "have you seen it"}]}) + "\n"
    for name in ("self_dialogue", "byu_chitchat"):
        (tmp_path / "chat" / f"{name}.jsonl").write_text(talk)
    settings = {"split": None, "accents": 0, "disguised": 0.0, "most": 10, "seed": 1, "plain": tmp_path}
    counts = [
        prepare(folder, tmp_path / f"out{len(more)}", more=more, **settings)["train"]["written/spam"]
        for more in ((), (following,))
    ]
    assert counts[1] > counts[0]


def test_the_table(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    out = tmp_path / "table.json"
    arguments = ["--data", str(folder), "--scorer", "hashed", "--split", "random-1", "--out", str(out)]
    done = CliRunner().invoke(spam_table, arguments)
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["rows"]
    assert rows[0]["accuracy"] > 0.9
    assert {row["rewrite"] for row in rows[1:]} == set(REWRITES | UNSEEN)
    wrong = CliRunner().invoke(spam_table, ["--data", str(folder), "--scorer", "nosuch"])
    assert wrong.exit_code == 2
    assert "no scorer 'nosuch'" in wrong.output
