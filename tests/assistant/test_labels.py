"""Other labels than spam: examples out of tables, sets on disk, and the language model that scores them."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assistant.engine_client import EngineClient
from assistant.errors import UsageError
from assistant.paths import Paths
from assistant.verdicts.examples import Example, read_examples, read_labels
from assistant.verdicts.fine_tuning import FineTuning, recipe
from assistant.verdicts.label_sets import LabelSet, LabelSets, name_of
from assistant.verdicts.labelling import Labeller, in_turn, prompt
from assistant.verdicts.prototypes import Prototypes, softmax
from engine.errors import EngineError
from engine.questions import Counts, Embed, Embeddings, Label, Labels
from training.recipe import load_recipe

SAMPLE = Path(__file__).parents[2] / "training" / "sample" / "labels.csv"
MANY = [Example(f"text number {n}", "a" if n % 2 else "b") for n in range(60)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'Text,Label\nbuy milk,shop\n"call, Tom",call\nbuy milk,shop\n'),
        ("a.tsv", "id\tmessage\tcategory\n1\tbuy milk\tshop\n2\tcall, Tom\tcall\n"),
        ("a.jsonl", '{"text": "buy milk", "label": "shop"}\n\n{"text": "call, Tom", "label": "call"}\n'),
        ("a.json", '[{"sentence": "buy milk", "topic": "shop"}, {"sentence": "call, Tom", "topic": "call"}]'),
        ("c.csv", "text;label\nbuy milk;shop\ncall, Tom;call\n"),
        ("d.csv", "label\ttext\nshop\tbuy milk\ncall\tcall, Tom\n"),
        ("b.csv", 'what,kind\nbuy milk,shop\n"call, Tom",call\n'),
    ],
)
def test_tables_of_all_kinds(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read_examples(tmp_path / name) == [Example("buy milk", "shop"), Example("call, Tom", "call")]


def test_figures_and_odd_line_ends_are_examples_too(tmp_path: Path) -> None:
    lines = [{"text": "bad", "label": 0}, {"text": "so\u2028so", "label": 1}, {"text": "good", "label": False}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    assert [each.label for each in read_examples(tmp_path / "a.jsonl")] == ["0", "1", "False"]


def test_names_out_of_files() -> None:
    assert [name_of(text) for text in ("data (1)", "_x/y", "…", "ä" * 50)] == ["data 1", "xy", "", "ä" * 40]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"a,b,c\n1,2,3\n", "columns called text and label; it has a, b, c"),
        ("a.csv", b"text,label\nx,only\n", "only the label 'only'"),
        ("a.jsonl", b'{"text": "x"\n', "line 1: this is no JSON"),
        ("a.jsonl", b"[1]\n", "an object with text and label"),
        ("a.csv", b"text,label\n\xff\xfe,x\n", "no UTF-8"),
        ("a.pdf", b"x", "neither .csv"),
        ("a.csv", b"text,label\n" + b"".join(b"t%d,l%d\n" % (n, n) for n in range(60)), "60 different labels"),
    ],
)
def test_bad_tables_are_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        read_examples(tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_examples(tmp_path / "none.csv")


def test_sets_are_kept_grow_by_corrections_and_go(tmp_path: Path) -> None:
    sets = LabelSets(Paths(tmp_path))
    made = sets.create("topics", ["shop", "call"], [Example("buy milk", "shop")])
    assert made.method == "few-shot, 1 example"
    grown = sets.add(made, Example("buy milk", "call"))
    assert sets.read("topics") == grown
    assert grown.examples == (Example("buy milk", "call"),), "the later word on a text holds"
    for name, sentence in (("topics", "already"), ("../x", "begins with"), ("spam", "not “spam”"), ("", "begins with")):
        with pytest.raises(UsageError, match=sentence):
            sets.create(name, ["a", "b"], [])
    with pytest.raises(UsageError, match="There are: topics"):
        sets.read("none")
    sets.remove(grown)
    assert sets.names() == []
    assert read_labels(" good, bad ,good") == ["good", "bad"]


def test_a_classifier_in_the_models_folder_is_a_set(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "moods"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": "classify", "id2label": {"0": "bad", "1": "good"}}))
    sets = LabelSets(Paths(tmp_path))
    assert sets.names() == ["moods"]
    assert sets.read("moods").labels == ("bad", "good")
    assert sets.read("moods").method == "fine-tuned"
    with pytest.raises(UsageError, match="models folder"):
        sets.remove(sets.read("moods"))


def test_the_prompt_favours_no_label() -> None:
    rows = [*(Example(f"a{n}", "a") for n in range(9)), Example("b0", "b")]
    assert [e.text for e in in_turn(rows, ("a", "b"))[:3]] == ["a0", "b0", "a1"]
    shown = prompt([Example("x\ny", "a")], "what\nis it", ("a", "b"))
    assert shown == "Text: x y\nLabel: a\n\nText: what is it\nLabel:"
    assert softmax([0.0, 0.0]) == [0.5, 0.5]
    assert softmax([-1000.0, 0.0])[1] == 1.0


def test_the_recipe_is_one_the_lab_takes(tmp_path: Path) -> None:
    chosen = LabelSet('my "topics"', tmp_path, ("a", "b"), tuple(MANY))
    (tmp_path / "recipe.toml").write_text(recipe(chosen, tmp_path / "base", 1024))
    read = load_recipe(tmp_path / "recipe.toml")
    assert read.export.name == 'my "topics"'
    assert read.classify.epochs == 20
    assert read.classify.context < 32, "short texts need no long rows"
    assert read.classify.blocks == 0, "the base does not say how many it has"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"num_hidden_layers": 7}', encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(recipe(chosen, tmp_path / "base", 1024))
    assert load_recipe(tmp_path / "recipe.toml").classify.blocks == 4


async def test_fine_tuning_can_be_stopped(tmp_path: Path) -> None:
    told: list[str] = []
    made = LabelSets(Paths(tmp_path)).create("topics", ["a", "b"], MANY)
    tuning = FineTuning(told.append, [sys.executable, "-c", "import time; time.sleep(60)"])
    tuning.start(made, tmp_path, 256)
    await asyncio.sleep(0.2)
    assert tuning.is_training("topics")
    assert not tuning.is_training("others")
    await tuning.close()
    assert not tuning.is_training("topics")
    assert tuning.line == ""
    assert not (made.folder / "run").exists()
    assert told == []


def test_prototypes_tell_what_lies_apart_and_say_when_nothing_does() -> None:
    apart = [[1.0, x, 5.0] for x in (0.1, 0.2, 0.3)] + [[3.0, x, 5.0] for x in (0.1, 0.2, 0.3)]
    near = Prototypes(apart, ["a"] * 3 + ["b"] * 3, ("a", "b"))
    assert near.right == 1.0
    assert near.tells
    assert near.probabilities([2.9, 0.2, 5.0])[1] > 0.9
    assert sum(near.probabilities([1.0, 0.0, 5.0])) == pytest.approx(1)
    mixed = Prototypes(apart, ["a", "b", "a", "b", "a", "b"], ("a", "b"))
    assert not mixed.tells


@pytest.mark.parametrize(("right", "method"), [(0.46, "few-shot, 60 examples"), (1.0, "fine-tuned")])
async def test_a_classifier_is_asked_only_where_it_tells_better_than_its_examples(
    right: float, method: str, tmp_path: Path
) -> None:
    """A model that was fine-tuned on 60 examples of 6 kinds was once right for 20 %, and asked all the same."""
    record = {"metrics": {"held_out": 13, "accuracy": right}}
    (tmp_path / "training.json").write_text(json.dumps(record), encoding="utf-8")
    examples = tuple(Example(f"{label} {number}", label) for number in range(30) for label in ("a", "b"))
    client = FakeEngine()
    labeller = Labeller(client, LabelSet("kinds", tmp_path, ("a", "b"), examples, tmp_path))  # type: ignore[arg-type]
    (told,) = await labeller.label(["a text"])
    assert (told.method, told.label) == (method, "b" if method == "fine-tuned" else "a")
    assert await labeller.label(["a text"]) == [told]
    assert any("not asked: it was right for 46 %" in note for note in told.notes) == (right < 1)
    client.broken = True
    alone = Labeller(client, LabelSet("kinds", tmp_path, ("a", "b"), examples, tmp_path))  # type: ignore[arg-type]
    assert (await alone.label(["a text"]))[0].method == "fine-tuned", "there is no language model"


class FakeEngine:
    """Texts that begin alike have vectors alike; the classifier says that everything is b."""

    broken = False

    async def load(self) -> Any:
        if self.broken:
            raise EngineError("no model")
        return SimpleNamespace(context_length=256)

    async def ask(self, message: Any) -> Any:
        if isinstance(message, Embed):
            assert message.traits
            rows = [[float(text.startswith("a")), float(n % 3), 1.0] for n, text in enumerate(message.texts)]
            return Embeddings("", tuple(rows))
        if isinstance(message, Label):
            return Labels("", ("a", "b"), ({"probabilities": [0.2, 0.8], "tokens": 3, "cut": 0},) * len(message.texts))
        return Counts("", tuple(len(text.split()) for text in message.texts))


async def test_the_bundled_model_labels_by_examples_and_without() -> None:
    from engine.catalog import find

    with SAMPLE.open() as file:
        rows = [Example(row["text"], row["label"]) for row in csv.DictReader(file)]
    by_label = {label: [row for row in rows if row.label == label] for label in ("reminder", "shopping", "question")}
    shots = [row for group in by_label.values() for row in group[:6]]
    others = [row for group in by_label.values() for row in group[6:16]]
    client = EngineClient(find("homespun-v0").path, "cpu")
    try:
        labeller = Labeller(client, LabelSet("notes", Path(), tuple(by_label), tuple(shots)))
        told = await labeller.label([row.text for row in others] + ["Buy milk. " * 2000])
        blind = Labeller(client, LabelSet("notes", Path(), tuple(by_label), (shots[0],)))
        few, long = await blind.label(["Buy milk", "Buy milk. " * 2000])
    finally:
        await client.close()
    right = sum(each.label == row.label for each, row in zip(told, others, strict=False))
    assert right >= 0.75 * len(others), "six examples of each are enough for kinds as plain as these"
    assert told[0].notes[0].startswith("By the nearest of 18 examples, ")
    assert any("tokens at its end were not read" in note for note in told[-1].notes)
    assert few.notes == ("1 of 1 examples were shown to the language model.",)
    assert sum(p for _, p in few.rows) == pytest.approx(1)
    assert any("characters at its end were not read" in note for note in long.notes)
