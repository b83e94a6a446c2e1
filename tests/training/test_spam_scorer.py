"""Putting the spam scorer together, its folder, and learning from corrections, on tiny corpora with a tiny network."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from engine.email_text.normalise import for_model
from engine.run.classifier import TextClassifier
from engine.spam.features import features
from engine.spam.hashed_scorer import VIEWS, HashedScorer
from engine.spam.loading import load_judge
from engine.spam.stacked_scorer import CLASSICAL, StackedScorer, log_odds
from training.spam.commands import spam as command
from training.spam.fitting import (
    BESIDE_ONE,
    HONEST,
    KNOWN_TO,
    MOST_BESIDE,
    Rows,
    calibrated_on,
    joined,
    mix_views,
    regression,
    scorer_of,
    shared,
    to_leave_out,
    weights_of,
)
from training.spam.memory import FILE, read_memory, write_memory
from training.spam.network import BESIDE_ONE as BESIDE_ONE_NETWORK
from training.spam.network import BESIDE_SEVERAL, HELD, RECIPE, learned, says, tuned
from training.spam.refit import DenseRows, SparseRows, refit
from training.spam.remembering import chosen, remember, thinned
from training.spam.retrain import retrain
from training.spam.stacking import SHARE, fit_stack, read_rows, stack, thresholds
from training.spam.traces import apply, learn, margins_of, moved, trace

SPAM_WORDS = "cheap casino money offer click guaranteed order free winner prize loan credit"
HAM_WORDS = "meeting report lunch project tomorrow thanks patch kernel list monday draft house"


def mail(spam: bool, rng: random.Random) -> str:
    return for_model(" ".join(rng.choices(f"{SPAM_WORDS if spam else HAM_WORDS} the you and for with".split(), k=20)))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("prepared"), random.Random(1)
    for name, count in (("train", 300), ("valid", 200)):
        rows: list[dict[str, object]] = [
            {"text": mail(n % 2 == 0, rng), "label": ("spam", "not spam")[n % 2], "source": "x"} for n in range(count)
        ]
        for n, row in enumerate(rows):
            row["fold"] = HELD if name == "valid" else 1 + n // 2 % 4
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network of one block, which learns quickly."""
    path, text = tmp_path_factory.mktemp("recipe") / "tiny.toml", RECIPE.read_text()
    for old, new in (
        ("blocks = 3", "blocks = 1"),
        ("_tokens = 4096", "_tokens = 512"),
        ("adam_lr = 0.0008", "adam_lr = 0.003"),
        ("epochs = 1.0", "epochs = 0.025"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def made(prepared: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "scorer"
    measures = stack(prepared, out, {"notes": ["Made for a test."], "mails": -1}, recipe=recipe)
    assert measures.accuracy > 0.97
    return out


def test_the_folder_opens_and_says_what_its_parts_say(made: Path, prepared: Path) -> None:
    judge = load_judge(made)
    assert isinstance(judge, StackedScorer)
    texts = [json.loads(line)["text"] for line in (prepared / "valid.jsonl").open()][:20]
    stacked = json.loads((made / "config.json").read_text())["stack"]
    logits = judge.network.logits(texts).numpy() / judge.network.config.temperature
    classical = load_judge(made / CLASSICAL)
    assert isinstance(classical, HashedScorer)
    neural = (logits[:, 1] - logits[:, 0]).clip(-12, 12)
    hashed = classical.margins(texts).clip(-12, 12)
    margin = stacked["neural"] * neural + stacked["classical"] * hashed + stacked["bias"]
    np.testing.assert_allclose(judge.probabilities(texts), 1 / (1 + np.exp(-margin)), atol=1e-5)
    one_by_one = np.concatenate([judge.probabilities([text]) for text in texts])
    np.testing.assert_allclose(judge.probabilities(texts), one_by_one, atol=1e-5)
    assert judge.judge([]) == []


def test_evidence_is_what_the_whole_scorer_loses(made: Path) -> None:
    judge = load_judge(made)
    assert isinstance(judge, StackedScorer)
    text = (
        "the meeting with lunch and the report for monday. Click free casino money offer. the draft and the house list."
    )
    best = judge.evidence(text)[0]
    without = text[: best.start] + text[best.end :]
    lost = judge.margins([text])[0] - judge.margins([without])[0]
    assert best.weight == pytest.approx(lost, abs=1e-3)


def test_the_card_tells_the_numbers(made: Path) -> None:
    card = (made / "README.md").read_text()
    facts = json.loads((made / "training.json").read_text())
    assert f"{facts['held_out']['accuracy']:.2%}" in card
    assert facts["mails"] > 0  # figures that are given never hide what was counted
    for words in ("Made for a test.", "2006", "python -m training spam stack", "CC BY 4.0"):
        assert words in card


def test_what_is_said_of_a_strangers_mail_makes_a_stack_less_sure_and_not_another() -> None:
    rng = np.random.default_rng(0)
    spam = rng.random(4000) < 0.5
    home = np.where(spam, 4.0, -4.0)[:, None] + rng.normal(0, 2.5, (4000, 2))
    strange = home - 5 * np.where(rng.random((4000, 1)) < 0.2, np.sign(home), 0.0)  # the surest, too
    alone = fit_stack((home, spam), ())
    both = fit_stack((home, spam), [(strange[:2000], spam[:2000]), (strange[2000:], spam[2000:])])
    again = fit_stack((home, spam), [(strange, spam)] * 5)
    assert alone[0] / alone[1] == pytest.approx(SHARE) == pytest.approx(both[0] / both[1])
    assert 0 < both[1] < 0.9 * alone[1]
    assert again[1] == pytest.approx(both[1], rel=0.02), "however many sources there are"


def test_a_corpus_is_left_out_where_others_have_mail_of_both_kinds() -> None:
    kinds = np.array(["plain"] * 6 + ["written"] * 2)
    rows = Rows([""] * 8, np.arange(8) % 2 == 0, list("aabbcc") + ["written"] * 2, np.zeros(8), np.ones(8), kinds)
    assert to_leave_out(rows) == ["a", "b", "c"]
    assert to_leave_out(rows.take(np.array([0, 1, 6, 7]))) == [], "nobody's mail alone teaches nothing"
    assert to_leave_out(rows.take(np.array([0, 1, 2, 4]))) == [], "all others are spam, or it is itself"


def test_a_rate_of_false_alarms_holds_for_every_large_source() -> None:
    easy, hard = np.linspace(0, 0.5, 1000), np.linspace(0, 0.9, 600)
    ham, sources = np.concatenate([easy, hard]), ["easy"] * 1000 + ["hard"] * 600
    for rate, probability in thresholds(ham, sources):
        assert (hard >= probability).mean() <= rate
        assert (easy >= probability).mean() <= rate
    few = thresholds(np.concatenate([easy, [0.99]]), ["easy"] * 1000 + ["rare"])
    assert few[1][1] < 0.7, "one mail is no source"


def beside(count: int, rng: random.Random) -> list[dict[str, object]]:
    """Rows of mail written by hand and of English."""
    rows: list[dict[str, object]] = []
    for n in range(count):
        label, kind = ("spam", "not spam", "not spam")[n % 3], ("written", "written", "ordinary")[n % 3]
        rows.append({"text": mail(label == "spam", rng), "label": label, "kind": kind, "source": kind, "fold": n % 5})
    return rows


def test_a_network_learns_mail_but_for_one_fold_and_is_kept(prepared: Path, recipe: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps(row) + "\n" for row in beside(60, random.Random(4))))
    rows = joined(joined(read_rows(prepared / "train.jsonl"), read_rows(prepared / "valid.jsonl")), read_rows(more))
    rows.kinds[:10] = "padded"
    folder = tuned(rows, tmp_path / "network", recipe)
    network = TextClassifier.load(folder)
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 1
    read = {json.loads(line)["text"] for line in (tmp_path / "network" / "train.jsonl").open()}
    assert not read & set(rows.take(rows.folds == HELD).texts), "of mail written by hand, neither"
    assert not read & set(rows.texts[:10]), "spam with honest text around it teaches that honest words are spam's"
    assert read > set(rows.take((rows.folds != HELD) & (rows.kinds == "plain")).texts)
    held = rows.take((rows.folds == HELD) & (rows.kinds == "plain"))
    assert ((says(folder, held.texts) > 0) == held.spam).mean() > 0.95
    np.testing.assert_allclose(says(folder, held.texts[:9]), log_odds(network, held.texts[:9]))
    long = f"{' '.join(held.texts)[:2000]} cheap pills"
    np.testing.assert_allclose(says(folder, [long]), says(folder, [f"{long} see you at lunch"]), atol=1e-6)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert tuned(rows, tmp_path / "network", recipe) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before, "one that is there is taken"
    other = tuned(rows, tmp_path / "other", recipe, seed=1)
    assert np.abs(says(other, held.texts) - says(folder, held.texts)).max() > 0.01, "another seed, another network"


def test_how_much_lies_beside_mail_depends_on_its_corpora() -> None:
    def rows(corpora: str, mail: int, beside: int) -> Rows:
        sources = [corpora[n % len(corpora)] for n in range(mail)] + ["written"] * beside
        kinds, count = np.array(["plain"] * mail + ["written"] * beside), mail + beside
        return Rows([""] * count, np.arange(count) % 2 == 0, sources, np.ones(count, int), np.ones(count), kinds)

    for corpora, share in (("x", BESIDE_ONE_NETWORK), ("xy", BESIDE_SEVERAL)):
        assert len(learned(rows(corpora, 4000, 4000))) == round(4000 * (1 + share))
    assert len(learned(rows("x", 1000, 50))) == 1050
    assert len(learned(rows("x", 0, 9000))) == 9000, "the stranger learns all of it"


def test_a_scorer_of_several_corpora_hears_a_stranger_to_all_of_them(recipe: Path, tmp_path: Path) -> None:
    rng, data = random.Random(6), tmp_path / "data"
    data.mkdir()
    mails: list[dict[str, object]] = [
        {
            "text": mail(n % 2 == 0, rng),
            "label": ("spam", "not spam")[n % 2],
            "source": "ab"[n % 4 // 2],
            "fold": n // 4 % 5,
        }
        for n in range(400)
    ]
    for name in ("train", "valid"):
        rows = [row for row in [*mails, *beside(150, rng)] if (row["fold"] == HELD) == (name == "valid")]
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stack(data, tmp_path / "scorer", None, tmp_path / "network", tmp_path / "stranger", recipe)
    read = {json.loads(line)["text"] for line in (tmp_path / "stranger" / "train.jsonl").open()}
    assert len(read) == 120
    assert not read & {row["text"] for row in mails}
    stacked = load_judge(tmp_path / "scorer")
    assert isinstance(stacked, StackedScorer)
    assert stacked.weights[0] == pytest.approx(SHARE * stacked.weights[1])


def test_what_one_source_alone_knows_counts_less() -> None:
    from scipy.sparse import csr_matrix

    # Columns: nobody's twice, two rows of a, two of a and b each, two of each of three sources.
    rows = csr_matrix(np.array([[1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1]]))
    value = shared(rows, np.array(["a", "a", "b", "b", "c", "c"]))
    np.testing.assert_allclose(value, [KNOWN_TO[0], KNOWN_TO[1], KNOWN_TO[2], 1.0])
    assert KNOWN_TO[1] < KNOWN_TO[2] < 1


@pytest.mark.parametrize(("corpora", "most"), [("x", BESIDE_ONE), ("xy", MOST_BESIDE)])
def test_what_is_no_mail_of_the_corpora_counts_only_so_much_beside_it(corpora: str, most: float) -> None:
    kinds = np.array(["plain"] * 20 + ["written"] * 400 + ["ordinary"] * 400)
    spam = np.arange(820) % 2 == 0
    sources = [corpora[n // 2 % len(corpora)] for n in range(20)] + ["written"] * 400 + ["english"] * 400
    rows = Rows([""] * 820, spam, sources, np.zeros(820, dtype=int), np.ones(820), kinds)
    weights = weights_of(rows)
    for label in (True, False):
        mail = weights[(spam == label) & (kinds == "plain")].sum()
        beside = weights[(spam == label) & (kinds != "plain")].sum()
        assert beside == pytest.approx(most * mail)
        assert mail == pytest.approx(10), "1 a row, whatever lies beside it"
    assert weights_of(rows, 1.7).sum() == pytest.approx(20 * 2.7)
    alone = weights_of(rows.take(kinds != "plain"))
    assert alone.sum() == pytest.approx(800), "there is nothing beside which it could count less"


@pytest.mark.parametrize("one_in", [2, 5])
def test_what_is_calibrated_does_not_depend_on_the_share_of_spam(one_in: int) -> None:
    rng = np.random.default_rng(3)
    spam = np.arange(6000) % one_in == 0
    members = np.where(spam, 1.0, -1.0)[:, None] + rng.normal(0, 2.0, (6000, 2))
    counts = calibrated_on(spam)
    mix, bias = regression(members, spam, counts)
    probabilities = 1 / (1 + np.exp(-(members @ mix + bias)))
    assert counts[~spam].sum() == pytest.approx(HONEST * counts[spam].sum())
    assert np.average(probabilities, weights=counts) == pytest.approx(1 / (1 + HONEST), abs=0.01)
    assert -bias == pytest.approx(np.log(HONEST), abs=0.25), "none of the two labels is the likelier but for that"


def test_padded_spam_finds_the_gaps_and_what_was_sent_the_offset() -> None:
    rng = np.random.default_rng(5)
    spam = np.arange(600) % 2 == 0
    plain = np.where(spam, 2.0, -2.0)[:, None] + rng.normal(0, 1.5, (600, len(VIEWS)))
    padded = rng.normal(0, 1.0, (300, 1)) + np.array([0.0, 6.0, 1.0, -6.0])  # honest by the whole, and of two pieces
    views = np.pad(np.concatenate([plain, padded]), ((0, 0), (0, 1)))
    kinds = np.array(["plain"] * 600 + ["padded"] * 300)
    labels = np.concatenate([spam, np.ones(300, dtype=bool)])
    rows = Rows([""] * 900, labels, ["x"] * 900, np.zeros(900, dtype=int), np.ones(900), kinds)
    scorer = scorer_of(np.zeros(2**12, dtype=np.float32), 0.0, 12)
    mix_views(scorer, views, rows)
    margins = scorer.mixed(views)
    assert scorer.gap == scorer.config["gap"] > 0
    assert (margins[600:] > 0).mean() > 0.9
    probabilities = 1 / (1 + np.exp(-margins[:600]))
    mean = np.average(probabilities, weights=calibrated_on(spam))
    assert mean == pytest.approx(1 / (1 + HONEST), abs=0.01), "spam that was made of spam is no mail that was sent"


def test_refitting_moves_only_what_it_must() -> None:
    rows, old, spam = DenseRows(torch.eye(3)), np.array([2.0, -2.0, 5.0]), np.array([False, False, True])
    change = refit(rows, old, spam, np.ones(3), 0.1)
    assert change[0] < -2, "a contradicted weight moves"
    assert abs(change[1]) < 1.5
    assert abs(change[2]) < 0.1, "one that is right stays"
    stiff = refit(rows, old, spam, np.ones(3), 1000.0)
    assert np.abs(stiff).max() < 0.01
    places = torch.arange(3)
    sparse = refit(SparseRows(places, places, torch.ones(3), (3, 3)), old, spam, np.ones(3), 0.1)
    np.testing.assert_allclose(sparse, change, atol=1e-4)


def test_old_mail_that_is_held_keeps_its_log_odds() -> None:
    """Two mails share a column, and each has one of its own; the first is corrected, the second held."""
    rows = DenseRows(torch.tensor([[1.0, 0.3, 0.0], [1.0, 0.0, 0.3]]))
    old, spam, counts = np.array([4.0, 8.0]), np.array([False, True]), np.array([4.0, 1.0])
    free = refit(rows, old, spam, counts, 0.05)
    held = refit(rows, old, spam, counts, 0.05, np.array([0.0, 5.0]))
    moved = [abs(float(change[0] + 0.3 * change[2])) for change in (free, held)]
    assert moved[1] < moved[0] / 4
    assert 4 + held[0] + 0.3 * held[1] < 0, "and the correction is learned all the same"
    wrong = refit(DenseRows(torch.eye(2)), old, ~spam, counts, 0.05, np.array([0.0, 0.1]))
    assert abs(wrong[1]) < 1e-3, "its label pulls at it no more"


def write_corrections(path: Path, count: int) -> Path:
    """Newsletters: spam's words with words of their own, and honest."""
    rng = random.Random(7)
    rows = []
    for _ in range(count):
        words = rng.choices(["newsletter", "sewing", "patterns", "quilt", "offer", "free", "order", "credit"], k=20)
        rows.append({"mail": f"Subject: quilting\n\n{' '.join(words)}", "label": "not spam"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", ["stacked", "classical"])
def test_two_hundred_corrections_are_learned_and_the_rest_stays(
    kind: str, made: Path, prepared: Path, tmp_path: Path
) -> None:
    start = made if kind == "stacked" else made / CLASSICAL
    corrections = write_corrections(tmp_path / "corrections.jsonl", 200)
    found = retrain(start, corrections, prepared, tmp_path / "new")
    assert found.right_before < 120
    assert found.right_after >= 190
    assert found.accuracy_after >= found.accuracy_before - 0.003
    assert found.adopted
    new = load_judge(tmp_path / "new")
    assert new.kind == load_judge(start).kind
    rng = random.Random(99)
    fresh = for_model(
        " ".join(rng.choices(["quilt", "sewing", "newsletter", "offer", "free", "order"], k=20)), "quilting"
    )
    assert new.probabilities([fresh])[0] < 0.5 < load_judge(start).probabilities([fresh])[0]
    assert "Learned since" in (tmp_path / "new" / "README.md").read_text()
    assert json.loads((tmp_path / "new" / "training.json").read_text())["retrained"]["corrections"] == 200


@pytest.fixture(scope="module")
def remembering(made: Path, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scorer with a memory of 200 mails, half of them to compare on."""
    folder = tmp_path_factory.mktemp("remembering") / "scorer"
    shutil.copytree(made, folder)
    facts = remember(prepared, folder, 100)
    assert (facts["replayed"], facts["benchmark"]) == (100, 100)
    assert f"{facts['accuracy']:.1%}" in (folder / "README.md").read_text()
    return folder


def test_what_a_scorer_remembers_takes_the_place_of_old_mail(remembering: Path, prepared: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    found = retrain(remembering, write_corrections(tmp_path / "c.jsonl", 200), None, new)
    assert found.right_before < 120 < 190 <= found.right_after
    assert found.benchmark == 100
    assert found.accuracy_after >= found.accuracy_before - 0.003
    assert "On 100 other mails" in found.sentence
    old, aged = read_memory(remembering), read_memory(new)
    assert old is not None
    assert aged is not None
    right = (margins_of(load_judge(new), aged.benchmark) >= 0) == aged.benchmark.spam  # type: ignore[arg-type]
    assert right.mean() == pytest.approx(found.accuracy_after), "the new scorer's memory has what was learned in it"
    assert np.abs(aged.benchmark.hashed - old.benchmark.hashed).max() > 0.01
    rows = [json.loads(line) for line in (prepared / "valid.jsonl").open()]
    said = load_judge(new).probabilities([row["text"] for row in rows]) >= 0.5
    assert (said == np.array([row["label"] == "spam" for row in rows])).mean() > 0.97


def test_spam_that_was_corrected_is_called_so_when_it_comes_back(remembering: Path, tmp_path: Path) -> None:
    """Honest by all its words, so that a few corrections move their weights little."""
    told = (
        "Dear gardener, the greenhouse in our lane opens on Tuesday. Our plumber Alfonso mends watering cans, kettles "
        "and copper pipes for nine crowns apiece, ring the brass bell twice and bring the lids along. Bicycles, too."
    )
    again = told.replace("Tuesday", "Saturday").replace("nine", "seven").replace("Alfonso", "Giacomo")
    (tmp_path / "c.jsonl").write_text(json.dumps({"mail": told, "label": "spam"}))
    found = retrain(remembering, tmp_path / "c.jsonl", None, tmp_path / "new", always=True)
    assert found.plain_after == 1
    old, new = load_judge(remembering), load_judge(tmp_path / "new")
    assert isinstance(old, StackedScorer)
    assert isinstance(new, StackedScorer)
    texts = [for_model(told), for_model(again)]
    np.testing.assert_array_equal(old.classical.views(texts)[:, -1], 0.0)
    np.testing.assert_array_equal(new.classical.views(texts)[:, -1], 1.0)
    assert len(new.classical.known.sizes) == len(old.classical.known.sizes) + 1


def test_a_memory_holds_figures_of_chosen_mails_and_is_the_same_every_time(
    remembering: Path, made: Path, prepared: Path, tmp_path: Path
) -> None:
    with np.load(remembering / FILE, allow_pickle=False) as arrays:
        assert {array.dtype.kind for array in arrays.values()} <= set("biuf"), "no words"
    shuffled = shutil.copytree(prepared, tmp_path / "shuffled")
    (shuffled / "valid.jsonl").write_text("\n".join(reversed((shuffled / "valid.jsonl").read_text().splitlines())))
    rows, again = read_rows(prepared / "valid.jsonl"), read_rows(shuffled / "valid.jsonl")  # what no network learns
    first, second = chosen(rows, 100)
    assert not {rows.texts[i] for i in first} & {rows.texts[i] for i in second}
    assert abs(rows.spam[first].mean() - rows.spam.mean()) < 0.02
    assert rows.spam[first].sum() == rows.spam[second].sum()
    for ours, theirs in zip((first, second), chosen(again, 100), strict=True):
        assert [rows.texts[i] for i in ours] == [again.texts[i] for i in theirs]
    memory = read_memory(remembering)
    assert memory is not None
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        write_memory(memory, folder)
    assert (tmp_path / "a" / FILE).read_bytes() == (tmp_path / "b" / FILE).read_bytes()
    read = read_memory(tmp_path / "a")
    assert read is not None
    assert (read.benchmark.columns == memory.benchmark.columns).all()
    scorer = load_judge(made)
    assert isinstance(scorer, StackedScorer)
    kept = trace(scorer, [rows.texts[i] for i in first], rows.spam[first], thinned)
    np.testing.assert_array_equal(kept.columns, memory.replayed.columns)
    np.testing.assert_allclose(kept.values, memory.replayed.values, atol=kept.values.max() / 500)
    np.testing.assert_allclose(kept.pooled, memory.replayed.pooled, atol=0.05)


def test_what_is_kept_of_a_text_says_on_average_what_the_whole_would() -> None:
    rng = random.Random(4)
    texts = [" ".join(rng.choices(f"{SPAM_WORDS} {HAM_WORDS}".split(), k=60)) for _ in range(40)]
    weights = np.random.default_rng(0).normal(1, 1, 2**20)
    whole, kept = ([f(text, 20) for text in texts] for f in (features, thinned))
    said, guessed = (np.array([weights[f.columns] @ f.values for f in found]) for found in (whole, kept))
    assert guessed.mean() == pytest.approx(said.mean(), rel=0.03)
    assert sum(len(f.columns) for f in kept) < 0.6 * sum(len(f.columns) for f in whole)
    shared = set.intersection(*(set(f.columns[f.values > 0.05].tolist()) for f in kept))
    assert len(shared) < 20, "every text has columns of its own"


def test_a_change_moves_the_traces_of_a_mail_as_it_moves_the_mail(made: Path) -> None:
    rng = random.Random(8)
    texts, spam = [mail(n % 2 == 0, rng) for n in range(40)], np.arange(40) % 2 == 0
    scorer, new = load_judge(made), load_judge(made)
    assert isinstance(scorer, StackedScorer)
    assert isinstance(new, StackedScorer)
    traces = trace(scorer, texts, spam)
    np.testing.assert_allclose(margins_of(scorer, traces), scorer.margins(texts), atol=1e-4)
    change = learn(scorer, trace(scorer, texts[:10], ~spam[:10]), np.full(10, 4.0), 1.0)
    apply(new, change)
    after = new.margins(texts)
    assert np.abs(after - scorer.margins(texts)).max() > 1
    np.testing.assert_allclose(margins_of(scorer, moved(scorer, traces, change)), after, atol=1e-3)


@pytest.mark.parametrize("how", ["cut", "no zip", "another version", "another scorer's"])
def test_a_damaged_memory_is_a_sentence(how: str, remembering: Path, tmp_path: Path) -> None:
    scorer = shutil.copytree(remembering, tmp_path / "scorer")
    path = scorer / FILE
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    elif how == "no zip":
        path.write_text("old mail")
    else:
        with np.load(path) as file:
            arrays = dict(file)
        changed = {"version": np.array(99)} if how == "another version" else {
            f"{part}_{name}": arrays[f"{part}_{name}"][..., :3]
            for part in ("replayed", "benchmark") for name in ("rows", "middle", "reach")
        }  # fmt: skip
        np.savez(path, **(arrays | changed))
    arguments = ["retrain", "--corrections", str(write_corrections(tmp_path / "c.jsonl", 5)), "--scorer", str(scorer)]
    done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "new")])
    assert done.exit_code == 2
    assert done.output.count("Install homespun again") == 1
    assert str(path) in done.output
    assert not (tmp_path / "new").exists()


def test_only_a_scorer_of_two_parts_gets_a_memory(made: Path, prepared: Path) -> None:
    done = CliRunner().invoke(command, ["memory", "--data", str(prepared), "--scorer", str(made / CLASSICAL)])
    assert done.exit_code == 2
    assert "is no scorer of two parts" in done.output


def test_without_old_mail_or_memory_the_old_weights_are_the_memory(
    made: Path, prepared: Path, tmp_path: Path
) -> None:  # fmt: skip
    found = retrain(made, write_corrections(tmp_path / "c.jsonl", 50), None, tmp_path / "new")
    assert found.right_after > found.right_before
    assert "no old mail" in found.sentence
    rows = [json.loads(line) for line in (prepared / "valid.jsonl").open()]
    said = load_judge(tmp_path / "new").probabilities([row["text"] for row in rows]) >= 0.5
    assert (said == np.array([row["label"] == "spam" for row in rows])).mean() > 0.97


def test_lies_are_found_out_by_what_a_scorer_remembers_and_a_worse_one_is_not_written(
    remembering: Path, tmp_path: Path
) -> None:
    rng = random.Random(5)
    lies = [{"text": mail(n % 2 == 0, rng), "label": ("not spam", "spam")[n % 2]} for n in range(300)]
    path = tmp_path / "lies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in lies))
    arguments = ["retrain", "--corrections", str(path), "--scorer", str(remembering)]
    done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "new")])
    assert done.exit_code == 1
    assert "the old scorer stays" in json.loads(done.output)["sentence"]
    assert not (tmp_path / "new").exists()
    done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "new"), "--always"])
    assert done.exit_code == 0
    assert (tmp_path / "new" / "config.json").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ('{"mail": "x"}', "cannot be read"),
        ('{"mail": "x", "label": "maybe"}', 'line 1: the label must be "spam" or "not spam"'),
        ("\n", "holds no corrections"),
    ],
)
def test_wrong_corrections_are_a_sentence(content: str | None, sentence: str, made: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    if content is not None:
        path.write_text(content)
    arguments = ["retrain", "--corrections", str(path), "--scorer", str(made), "--out", str(tmp_path / "new")]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert sentence in done.output
    assert not (tmp_path / "new").exists()
