"""People's files as the training menu reads them: every usual form, and a sentence for every unusual one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.stage_setup import write_base
from training.errors import TrainingError
from training.recipe import RecipeError, load_recipe
from training.recipe_wish import Wish, fields_of, load_wish, read_field, save_wish
from training.tuning.answers import Examples, read_answers
from training.tuning.laying import lay_out
from training.tuning.layout import Laid
from training.tuning.measure import right
from training.tuning.preview import summary
from training.tuning.rephrase import rephrased

FORMS = {
    "a.csv": "question,answer\nWho?,Me.\nWhere?,Here.\n",
    "b.csv": "Answer;Prompt\nMe.;Who?\nHere.;Where?\n",
    "c.tsv": "q\ta\nWho?\tMe.\nWhere?\tHere.\n",
    "d.jsonl": '{"question": "Who?", "answer": "Me."}\n\n{"prompt": "Where?", "completion": "Here."}\n',
    "e.jsonl": '{"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]}\n'
    '{"conversations": [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "Here."}]}\n',
    "f.json": '[{"instruction": "Who?", "output": "Me."}, {"instruction": "Where?", "output": "Here."}]',
    "g.md": "# Notes\n\n## Who?\n\nMe.\n\n## Where?\nHere.\n",
    "h.md": "**Q:** Who?\n**A:** Me.\n\nQ: Where?\nA: Here.\n",
    "i.txt": "Who?\nMe.\n\nWhere?\nHere.\n",
}


def pairs(found: Examples) -> list[tuple[str, str]]:
    return [(row.question, row.answer) for row in found.kept]


@pytest.mark.parametrize("name", FORMS)
def test_every_usual_form_says_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FORMS[name])
    assert pairs(read_answers([tmp_path / name])) == [("Who?", "Me."), ("Where?", "Here.")]


def test_what_is_left_out_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'question,answer\nWho?,Me.\n"Two\nlines?",Yes.\nWhat?,\n,Nothing\nwho?,me.\nWho?,You.\n'
    )
    found = read_answers([tmp_path / "a.csv"])
    assert pairs(found) == [("Who?", "Me."), ("Two\nlines?", "Yes.")]
    assert [(row.place, row.problem) for row in found.rows if row.problem] == [
        ("a.csv, line 5", "no answer"),
        ("a.csv, line 6", "no question"),
        ("a.csv, line 7", "the same as a.csv, line 2"),
        ("a.csv, line 8", "answers otherwise than a.csv, line 2"),
    ]
    (tmp_path / "b.jsonl").write_text(
        '{"question": "Who?"}\nno json\n[1]\n{"x": 1}\n{"messages": [{"role": "user"}]}\n'
    )
    problems = [row.problem for row in read_answers([tmp_path / "b.jsonl"]).rows]
    assert problems[:3] == ["no answer", "this line is no JSON", "it is no object with question and answer"]
    assert "neither question nor answer, but x" in problems[3]
    assert "do not alternate" in problems[4]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.csv", b"name,age\nAda,36\n", "columns name, age; wanted are question and answer"),
        ("a.csv", b"", "empty"),
        ("a.csv", b"\x89PNG\x00\x01", "not a text file"),
        ("a.pdf", b"%PDF", "none of .csv"),
        ("a.json", b"{", "no JSON"),
        ("a.md", b"# Only a title\n", "no questions and answers"),
        ("a.csv", b'question,answer\n"open,x\n' + b"y" * 20_000_000, "cannot be read as a table"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TrainingError, match=sentence):
        read_answers([tmp_path / name])


def test_missing_and_huge_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="There is no file"):
        read_answers([tmp_path / "gone.csv"])
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(1_000_000_000)  # a hole: it takes no room
    with pytest.raises(TrainingError, match="has 1,000 MB, and examples come from files of at most 64 MB"):
        read_answers([tmp_path / "huge.csv"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_text("question,answer\nWer?,Jürgen.\n", encoding=encoding)
    assert pairs(read_answers([tmp_path / "a.csv"])) == [("Wer?", "Jürgen.")]


def test_mixed_encodings_are_read_line_by_line_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("question,answer\nWer?,Jürgen.\n".encode() + "Wo?,Köln.\n".encode("cp1252"))
    found = read_answers([tmp_path / "a.csv"])
    assert pairs(found) == [("Wer?", "Jürgen."), ("Wo?", "Köln.")]
    assert found.notes == ["a.csv: line 3 not in UTF-8, read as Windows-1252; look at the accents."]


def test_other_wordings_keep_the_words_and_are_all_different() -> None:
    question = "What is the name of my boat?"
    others = rephrased(question, 11)
    assert len(others) == len({*others, question}) - 1 == 11
    assert all("boat" in other or "name" in other for other in others)
    assert rephrased("Hi", 5) == rephrased("one\ntwo three", 5) == rephrased(question, 0) == []


def test_an_answer_is_right_when_it_says_what_is_new() -> None:
    assert right("It's called Velmora!", "What is my boat called?", "Your boat is called Velmora.")
    assert not right("Your boat is called that.", "What is my boat called?", "Your boat is called Velmora.")
    assert not right("It has 21 steps.", "How many steps?", "It has 212 steps.")


# Laying out


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_base(tmp_path_factory.mktemp("base") / "small"))


def laid(wish: Wish, run: Path) -> Laid:
    run.mkdir(exist_ok=True)
    return lay_out(wish, run)


def test_no_wording_stands_for_two_questions_and_held_out_ones_are_not_learned(tmp_path: Path, base: str) -> None:
    rows = "".join(f"What is the colour of thing{n}?,It is {n}.\n" for n in range(20))
    (tmp_path / "a.csv").write_text("question,answer\n" + rows)
    wish = Wish("answers", (str(tmp_path / "a.csv"),), "x", base, context=128, held_out=30.0, replay=False)
    found = laid(wish, tmp_path / "run")
    lines = (tmp_path / "run" / "documents" / "train" / "answers.jsonl").read_text().splitlines()
    learned: dict[str, str] = {}
    for line in lines:
        asked, told = (m["content"] for m in json.loads(line)["messages"])
        assert learned.setdefault(asked, told) == told
    apart = [chat["messages"][0]["content"] for chat in found.held_out]
    assert 0 < len(apart) < 20
    assert not set(apart) & set(learned)
    assert found.counts() == {"learned": 20 - len(apart), "held out: only measured": len(apart)}
    assert load_recipe(tmp_path / "run" / "recipe.toml").sft.lora is not None


def test_long_examples_and_too_few_are_said(tmp_path: Path, base: str) -> None:
    (tmp_path / "a.csv").write_text(f"question,answer\nWho?,{'long ' * 60}\nWho now?,Me.\n")
    wish = Wish("answers", (str(tmp_path / "a.csv"),), "x", base, context=64, batch_tokens=64)
    with pytest.raises(TrainingError, match=r"1 answers to learn from, and at least 3 .*longer than 64 tokens"):
        laid(wish, tmp_path / "run")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("text,label\nhello,a\n", "only the label 'a'"),
        (
            "text,label\n" + "".join(f"t{n},a\nu{n},b\n" for n in range(6)) + "odd,c\n",
            "'c' has 1 example, and at least 4",
        ),
        ("words,kind\nhello,a\n", "no column that is called like a text"),
        ("", "is empty"),
    ],
)
def test_labels_that_cannot_be_learned(tmp_path: Path, base: str, table: str, sentence: str) -> None:
    (tmp_path / "l.csv").write_text(table)
    with pytest.raises(TrainingError, match=sentence):
        laid(Wish("labels", (str(tmp_path / "l.csv"),), "x", base), tmp_path / "run")


def test_a_folder_of_documents_is_copied_in_utf8_and_the_rest_passed_over(tmp_path: Path, base: str) -> None:
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    (docs / "a.txt").write_bytes("Grüße. ".encode("cp1252") * 100)
    (docs / "sub" / "b.md").write_text("# Title\n\n" + "Words. " * 100)
    (docs / "c.pdf").write_bytes(b"%PDF")
    found = laid(Wish("documents", (str(docs),), "x", base), tmp_path / "run")
    copies = sorted((tmp_path / "run" / "data" / "texts").iterdir())
    assert [path.suffix for path in copies] == [".txt", ".txt"]
    assert copies[0].read_text(encoding="utf-8").startswith("Grüße.")
    parts = copies[0].read_text(encoding="utf-8").split("<|endoftext|>")
    assert [len(part) < 320 for part in parts] == [True] * len(parts)  # one long paragraph, cut between sentences
    assert "".join(parts).split() == ["Grüße."] * 100
    assert found.notes[0] == "Passed over: 1 × .pdf, which is no text here."
    with pytest.raises(TrainingError, match="no text to read"):
        laid(Wish("documents", (str(docs / "c.pdf"),), "x", base), tmp_path / "run")


# The wish


def test_a_wish_is_read_back_and_bad_fields_are_refused(tmp_path: Path) -> None:
    wish = Wish("answers", ("a",), "mine", epochs=2.5, rephrase=False)
    save_wish(wish, tmp_path / "wish.json")
    assert load_wish(tmp_path / "wish.json") == wish
    (tmp_path / "wish.json").write_text('{"kind": "answers", "colour": 1}')
    with pytest.raises(RecipeError, match="damaged or of another version"):
        load_wish(tmp_path / "wish.json")
    with pytest.raises(RecipeError, match="cannot be called"):
        Wish("answers", name="../x")
    with pytest.raises(RecipeError, match="Epochs must be a number, not 'many'"):
        read_field("epochs", "many")
    assert read_field("epochs", "2,5") == 2.5
    assert read_field("rank", "") == 0


def test_every_form_has_its_fields_and_no_other() -> None:
    names = {kind: [f.name for f in fields_of(kind)] for kind in ("answers", "feedback", "scratch")}
    assert "rephrase" in names["answers"]
    assert "rephrase" not in names["feedback"]
    assert "base" not in names["scratch"]
    assert names["answers"].index("epochs") < names["answers"].index("lr")  # advanced ones last


def test_a_writing_that_the_base_does_not_know_is_said_with_numbers(tmp_path: Path) -> None:
    lines = {
        "english": ("What is the name of the river near box {n}?", "It is called the Otter, and is {n} miles long."),
        "greek": ("Πώς λέγεται το ποτάμι κοντά στο κουτί {n};", "Λέγεται Αχέροντας και έχει μήκος {n} μίλια."),
    }
    said = {}
    for name, (question, answer) in lines.items():
        rows = [json.dumps({"question": question.format(n=n), "answer": answer.format(n=n)}) for n in range(12)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
        wish = Wish("answers", (str(tmp_path / f"{name}.jsonl"),), "x", rephrase=False)
        said[name] = " ".join(summary(wish, laid(wish, tmp_path / name))["warnings"])
    assert "does not know such writing" in said["greek"]
    assert "characters a token" in said["greek"]
    assert said["english"] == ""
