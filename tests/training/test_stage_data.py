"""Tables, labels, preferences, sentence pairs: what is read, what is dropped and said, how it is split and grouped."""

from __future__ import annotations

import bz2
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.decoder.model import GPT
from engine.text.chat_template import ChatTemplate
from tests.training.stage_setup import TINY
from tests.training.test_stage_losses import byte_tokenizer
from training.data.grouping import Groups, held_out, in_order
from training.data.labels import Labelled, LabelledSet, read_labelled
from training.data.preferences import read_pairs
from training.data.sentences import read_sentences
from training.data.tables import read_table
from training.recipe import ClassifyRecipe, DPORecipe, RecipeError, TrainRecipe, TranslateRecipe
from training.stages.classify import Classify, probe
from training.stages.start import Start


def test_tables_of_every_kind_are_the_same_rows(tmp_path: Path) -> None:
    rows = [{"text": 'He said "no",\nthen left', "label": "a"}, {"text": "über", "label": "b"}]
    as_csv = 'text,label\n"He said ""no"",\nthen left",a\nüber,b\n'
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "one.jsonl").write_text(lines + "\n")
    (tmp_path / "two.csv").write_text(as_csv)
    (tmp_path / "three.jsonl.bz2").write_bytes(bz2.compress(lines.encode()))
    (tmp_path / "four.csv.gz").write_bytes(gzip.compress(as_csv.encode(), mtime=0))
    for name in ("one.jsonl", "two.csv", "three.*", "four.*"):
        assert list(read_table(tmp_path, name, ("text", "label"), "[x]")) == rows, name


def test_places_name_the_columns_of_files_without_names(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('ham\tHe said "no".\tmore\nspam\tWin "now\n')
    rows = list(read_table(tmp_path, "a.tsv", ("1", "2"), "[x]"))
    assert [(row["1"], row["2"]) for row in rows] == [("ham", 'He said "no".'), ("spam", 'Win "now')]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"body,label\nx,y\n", "line 2: there is no column 'text'; it has body, label"),
        ("a.csv", b"text,label\nx\n", "no column 'label'"),
        ("a.csv", b"", "holds no rows"),
        ("a.jsonl", b'{"text": "x", "label": "y"}\n{"text": \n', "line 2: this is no JSON"),
        ("a.jsonl", b"[1, 2]\n", "an object with columns is wanted"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', "is not UTF-8"),
        ("a.txt", b"x", "neither .jsonl, .csv nor .tsv"),
        ("a.csv.gz", gzip.compress(b"text,label\nx,y\n", mtime=0)[:-12], "cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=sentence):
        list(read_table(tmp_path, name, ("text", "label"), "[classify] files"))


def labels(tmp_path: Path, rows: list[tuple[str, ...]], **more: object) -> ClassifyRecipe:
    head = ("subject", "text", "label")[-len(rows[0]) :]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n")
    return ClassifyRecipe(**{"files": "a.csv", "valid_percent": 20.0, "context": 16, **more})


def test_labelled_texts_are_cleaned_and_what_was_dropped_is_counted(tmp_path: Path) -> None:
    rows = [(f"text number {i}", "ab"[i % 2]) for i in range(100)]
    recipe = labels(tmp_path, [*rows, ("text number 3", "b"), ("text number 4", "b"), ("  ", "a"), ("x" * 30, "a")])
    found = read_labelled(recipe, tmp_path, byte_tokenizer())
    assert found.labels == ("a", "b")
    assert found.report == {
        "kept": 101, "held_out": len(found.valid), "empty": 1, "double": 1, "contradicting": 1,
        "longer_than_context": 1,
    }  # fmt: skip
    assert 8 < len(found.valid) < 35
    assert len(found.train) + len(found.valid) == 101


def test_several_columns_are_one_text_and_held_out_files_are_respected(tmp_path: Path) -> None:
    recipe = labels(tmp_path, [("hello", f"you {i}", "ab"[i % 2]) for i in range(9)], text=("subject", "text"))
    assert bytes(read_labelled(recipe, tmp_path, byte_tokenizer()).train[0].tokens).startswith(b"hello\n\nyou ")
    (tmp_path / "held.csv").write_text("text,label\nyou 3,b\nnew,a\n")
    recipe = labels(tmp_path, [(f"you {i}", "ab"[i % 2]) for i in range(9)], valid_files="held.csv", labels=("b", "a"))
    found = read_labelled(recipe, tmp_path, byte_tokenizer())
    assert [bytes(e.tokens) for e in found.valid] == [b"you 3", b"new"]
    assert [e.label for e in found.valid] == [0, 1], "in the order of the recipe"
    assert len(found.train) == 8, "what is held out is not learned from"


def test_pairs_of_every_form_and_the_faults_of_others(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    rows = [
        {"prompt": "hi", "chosen": "good", "rejected": "bad"},
        {"prompt": messages, "chosen": [{"role": "assistant", "content": "good"}], "rejected": "bad"},
        {"prompt": "hi", "chosen": "good", "rejected": "bad"},
        {"prompt": "hi", "chosen": "same", "rejected": "same"},
        {"prompt": [], "chosen": "good", "rejected": "bad"},
        {"prompt": "hi", "chosen": " ", "rejected": "bad"},
        {"prompt": "hi", "chosen": "x" * 300, "rejected": "bad"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = DPORecipe(files="a.jsonl", context=128, valid_percent=0.01)
    template = ChatTemplate(byte_tokenizer())
    found = read_pairs(recipe, tmp_path, template)
    assert found.report == {"kept": 2, "held_out": 0, "empty": 2, "same": 1, "double": 1, "too_long": 1}
    chat = found.train[1].chosen
    spoken = [token for token, mask in zip(chat.tokens, chat.mask, strict=True) if mask]
    assert bytes(spoken[:-1]) == b"good"
    assert spoken[-1] == 258, "the end of the turn is learned too"


def test_every_translation_of_a_sentence_is_on_the_same_side(tmp_path: Path) -> None:
    pairs = [(f"sentence {i // 2}", f"Satz {i}") for i in range(200)]
    (tmp_path / "a.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in [*pairs, pairs[0], ("alone", "")]))
    found = read_sentences(TranslateRecipe(files="a.tsv", valid_percent=20), tmp_path)
    assert found.report == {"kept": 200, "held_out": len(found.valid), "empty": 1, "double": 1}
    assert 10 < len(found.valid) < 80
    assert not {a for a, _ in found.train} & {a for a, _ in found.valid}
    assert len(read_sentences(TranslateRecipe(files="a.tsv", limit=50), tmp_path).train) > 40


def test_a_split_is_by_content() -> None:
    assert sum(held_out(f"text {i}", 10.0) for i in range(5000)) == pytest.approx(500, abs=110)
    assert held_out("Text, 7!", 50.0) == held_out("text 7", 50.0)


def test_groups_hold_every_example_as_often_as_asked_and_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 700)
    recipe = TrainRecipe(context=64, batch_tokens=512, micro_tokens=256)
    groups = Groups(lengths, 2.5, recipe)
    seen = np.concatenate([group for step in range(groups.steps) for group in groups.step(step)])
    assert sorted(np.bincount(seen, minlength=700).tolist()) == [2] * 350 + [3] * 350
    for step in range(groups.steps):
        assert all(len(group) * lengths[group].max() <= 256 or len(group) == 1 for group in groups.step(step))
    padding = sum(len(g) * lengths[g].max() - lengths[g].sum() for g in groups.micro) / lengths[seen].sum()
    assert padding < 0.1
    again = Groups(lengths, 2.5, recipe)
    assert all((a == b).all() for a, b in zip(groups.micro, again.micro, strict=True))
    assert sorted(np.concatenate(in_order(lengths.tolist(), 256))) == list(range(700))


def test_word_dropout_exchanges_a_share_of_the_tokens_and_a_step_stays_what_it_is() -> None:
    model = GPT(replace(TINY, n_layer=1))
    examples = [Labelled([7] * 60, n % 2) for n in range(256)]

    def batches(share: float) -> list[Tensor]:
        recipe = ClassifyRecipe(files="a.csv", context=64, batch_tokens=2048, micro_tokens=2048, word_dropout=share)
        start = Start(model, None, "base", "a test")  # type: ignore[arg-type]
        task = Classify(recipe, start, LabelledSet(("a", "b"), examples, [], {}), torch.device("cpu"))
        assert all(torch.equal(task.step(step)[0].inputs, task.step(step)[0].inputs) for step in range(2))
        return [batch.inputs for step in range(task.steps) for batch in task.step(step)]

    assert all((inputs == 7).all() for inputs in batches(0.0))
    found = torch.cat(batches(0.1))
    exchanged = (found != 7).float().mean(dim=1)
    assert exchanged.mean().item() == pytest.approx(0.1, abs=0.01)
    assert exchanged.max() < 0.4, "twice the share, give or take"
    assert (exchanged < 0.02).sum() > 5, "and of some texts hardly any"
    assert len(found.unique()) > 200, "for any other"


def test_the_head_that_training_begins_with_tells_texts_apart_by_itself() -> None:
    """As it is used: without a bias, on vectors that all point one way, as a decoder's do."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(90) % 3
    vectors = 0.3 * torch.randn(90, 16, generator=generator) + 20 * torch.eye(16)[9]
    vectors[torch.arange(90), labels] += 2.0
    head = probe(vectors, labels, torch.ones(90), 4)
    assert head.shape == (4, 16)
    logits = vectors @ head.t()
    assert (logits.argmax(1) == labels).float().mean() > 0.95
    assert logits[:, 3].max() < logits.max(1).values.min(), "a label without examples is never the likeliest"
