"""Putting the spam scorer together, its folder, and learning from corrections, on tiny corpora with a tiny network."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.email_text.normalise import for_model
from engine.run.classifier import Classifier, ClassifierConfig, TextClassifier, save_classifier
from engine.spam.hashed_scorer import HashedScorer
from engine.spam.loading import load_judge
from engine.spam.stacked_scorer import CLASSICAL, StackedScorer
from training.spam.commands import spam as command
from training.spam.network import cut_network, fit_head, pooled_by, with_head
from training.spam.refit import refit
from training.spam.retrain import retrain
from training.spam.stacking import fit_stack, stack, thresholds

SPAM_WORDS = "cheap casino money offer click guaranteed order free winner prize loan credit"
HAM_WORDS = "meeting report lunch project tomorrow thanks patch kernel list monday draft house"
SHAPE = GPTConfig(vocab_size=259, context_length=64, n_layer=1, n_head=2, n_kv_head=1, head_dim=8, d_model=16, d_ff=32)


def mail(spam: bool, rng: random.Random) -> str:
    return for_model(" ".join(rng.choices(f"{SPAM_WORDS if spam else HAM_WORDS} the you and for with".split(), k=20)))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("prepared"), random.Random(1)
    for name, count in (("train", 300), ("valid", 200)):
        rows = [
            {"text": mail(n % 2 == 0, rng), "label": ("spam", "not spam")[n % 2], "source": "x"} for n in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained classifier."""
    from training.data.tokenizer import tokenizer_json

    generator = torch.Generator().manual_seed(3)
    model = Classifier(GPT(SHAPE), ClassifierConfig(("not spam", "spam"), "mean", False, 48, "ends"))
    init_weights(model.body, generator)
    model.score.weight.data.normal_(0, 0.5, generator=generator)
    folder = tmp_path_factory.mktemp("network") / "model"
    save_classifier(
        folder,
        model,
        {"tokenizer.json": json.dumps(tokenizer_json({bytes([byte]): byte for byte in range(256)}))},
        training={},
        card="# tiny\n",
    )
    return folder


@pytest.fixture(scope="module")
def made(prepared: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "scorer"
    measures = stack(prepared, out, {"notes": ["Made for a test."]}, network)
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
    neural = (logits[:, 1] - logits[:, 0] + stacked["head_bias"]).clip(-12, 12)
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
    held = json.loads((made / "training.json").read_text())["held_out"]
    assert f"{held['accuracy']:.2%}" in card
    for words in ("Made for a test.", "2006", "python -m training spam stack", "CC BY 4.0"):
        assert words in card


def test_a_stack_of_a_good_scorer_and_noise_listens_to_the_good_one() -> None:
    rng = np.random.default_rng(0)
    spam = rng.random(400) < 0.5
    good = np.where(spam, 2.0, -2.0) + rng.normal(0, 1, 400)
    weights, _ = fit_stack(np.stack([rng.normal(0, 2, 400), good], axis=1), spam)
    assert weights[1] > 5 * abs(weights[0])
    weights, _ = fit_stack(np.stack([-good, good + rng.normal(0, 1, 400)], axis=1), spam)
    assert weights.min() == 0, "a scorer is never listened to the wrong way round"


def test_a_rate_of_false_alarms_holds_for_every_large_source() -> None:
    easy, hard = np.linspace(0, 0.5, 1000), np.linspace(0, 0.9, 600)
    ham, sources = np.concatenate([easy, hard]), ["easy"] * 1000 + ["hard"] * 600
    for rate, probability in thresholds(ham, sources):
        assert (hard >= probability).mean() <= rate
        assert (easy >= probability).mean() <= rate
    few = thresholds(np.concatenate([easy, [0.99]]), ["easy"] * 1000 + ["rare"])
    assert few[1][1] < 0.6, "one mail is no source"


def test_the_network_is_the_lowest_block_of_the_base_and_its_head_is_fitted(tmp_path: Path) -> None:
    cut_network(tmp_path / "network")
    network = TextClassifier.load(tmp_path / "network")
    assert not network.head.any()
    assert json.loads((tmp_path / "network" / "config.json").read_text())["num_hidden_layers"] == 1
    rng = random.Random(2)
    texts, spam = [mail(n % 2 == 0, rng) for n in range(80)], np.arange(80) % 2 == 0
    pooled = pooled_by(network, texts)
    head = fit_head(pooled, spam, np.arange(80) // 2 % 5, np.ones(80))
    assert ((head.margins > 0) == spam).mean() > 0.95, "of mail that it has not seen"
    with_head(network, head)
    logits = network.logits(texts).numpy()
    expected = pooled @ head.weights + head.bias
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0] + head.bias, expected, atol=1e-3)
    assert ((expected > 0) == spam).all()


def test_refitting_moves_only_what_it_must() -> None:
    rows = torch.eye(3)
    change = refit(rows, np.array([2.0, -2.0, 5.0]), np.array([False, False, True]), np.ones(3), 0.1)
    assert change[0] < -2, "a contradicted weight moves"
    assert abs(change[1]) < 1.5
    assert abs(change[2]) < 0.1, "one that is right stays"
    stiff = refit(rows, np.array([2.0, -2.0, 5.0]), np.array([False, False, True]), np.ones(3), 1000.0)
    assert np.abs(stiff).max() < 0.01


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


def test_without_old_mail_the_old_weights_are_the_memory(made: Path, prepared: Path, tmp_path: Path) -> None:
    found = retrain(made, write_corrections(tmp_path / "c.jsonl", 50), None, tmp_path / "new")
    assert found.right_after > found.right_before
    assert "no old mail" in found.sentence
    rows = [json.loads(line) for line in (prepared / "valid.jsonl").open()]
    said = load_judge(tmp_path / "new").probabilities([row["text"] for row in rows]) >= 0.5
    assert (said == np.array([row["label"] == "spam" for row in rows])).mean() > 0.97


def test_a_worse_scorer_is_not_written(made: Path, prepared: Path, tmp_path: Path) -> None:
    rng = random.Random(5)
    lies = [{"text": mail(n % 2 == 0, rng), "label": ("not spam", "spam")[n % 2]} for n in range(300)]
    path = tmp_path / "lies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in lies))
    arguments = ["retrain", "--corrections", str(path), "--scorer", str(made), "--data", str(prepared)]
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
