"""Perplexity, multiple choice and instructions: against transformers' losses, worked examples and made-up replies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from engine.catalog import BUNDLED
from engine.files.model_folder import LoadedModel, load
from engine.protocol import SamplingParams
from engine.run.generate import Generator
from tests.training.export_setup import make_folder
from training.errors import TrainingError
from training.evaluation.checks import Check, run_checks
from training.evaluation.choices import Judged, Question, ask_choices, judge, read_questions
from training.evaluation.instructions import follow, read_instructions
from training.evaluation.likelihood import beginning, score_documents, score_files
from training.evaluation.sections import sections
from training.evaluation.verifiers import VERIFIERS, loosened, verify

TEXT = "the dog and the other dogs went to the river, and then they're there again."


@pytest.fixture(scope="module")
def bundled() -> LoadedModel:
    return load(BUNDLED / "homespun-v0")


def test_bits_per_byte_and_perplexity_are_transformers_loss(tmp_path: Path) -> None:
    folder, peer = make_folder("qwen3", tmp_path / "m")
    loaded = load(folder)
    tokens = loaded.tokenizer.encode(TEXT)
    score = score_documents(loaded, [{"text": TEXT}])
    ids = torch.tensor([beginning(loaded.tokenizer) + tokens])
    with torch.no_grad():
        mean = float(peer(ids, labels=ids).loss)
    counted = ids.shape[1] - 1  # this vocabulary has no token that begins a text: its first one does not count
    assert score.tokens == counted
    assert score.nats / score.tokens == pytest.approx(mean, rel=1e-4)
    assert score.perplexity == pytest.approx(math.exp(mean), rel=1e-3)
    size = len(loaded.tokenizer.decode(ids[0, 1:].tolist()).encode())
    assert score.bytes == size
    assert score.bits_per_byte == pytest.approx(score.nats / math.log(2) / size)


def test_texts_longer_than_the_context_are_read_whole(bundled: LoadedModel) -> None:
    text = TEXT * 120
    score = score_documents(bundled, [{"text": text}])
    assert score.tokens == len(bundled.tokenizer.encode(text)) > 2 * bundled.model.config.context_length
    assert score.bytes == len(text)
    limited = score_documents(bundled, [{"text": text}] * 3, limit=100)
    assert (limited.tokens, limited.documents) == (100, 1)


def test_chats_are_read_as_the_template_writes_them(bundled: LoadedModel) -> None:
    chat = {"messages": [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi there."}]}
    score = score_documents(bundled, [chat])
    assert score.bytes == len("user\nHello!\nassistant\nHi there.\n"), "special tokens have no bytes and do not count"


def test_files_are_read_by_their_kind(bundled: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{TEXT}\n<|endoftext|>\n{TEXT}")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": TEXT}) + "\n")
    made = score_files(bundled, [tmp_path / "a.txt", tmp_path / "b.jsonl"])
    assert made["a.txt"]["documents"] == 2
    assert made["a.txt"]["perplexity"] == pytest.approx(made["b.jsonl"]["perplexity"], rel=0.05)
    with pytest.raises(TrainingError, match=r"nothing matches 'c\.txt'"):
        score_files(bundled, [tmp_path / "c.txt"])


def test_a_file_without_text_is_a_sentence(bundled: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\n")
    with pytest.raises(TrainingError, match=r"a.txt has no text that could be measured"):
        score_files(bundled, [tmp_path / "a.txt"])


def test_questions_are_read_in_both_forms(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    rows = [
        {"question": "Q1", "choices": ["x", "y"], "answer": "y"},
        {"instruction": "Sound does not travel in a\n1) solid\n2) vacuum", "input": "", "output": "2) vacuum"},
        {"instruction": "It was caught in what?\nA) store\nB) book\nC) current", "output": "C) current"},
        {"instruction": "No choices here.", "output": "Right."},
        {"instruction": "Wrong letter?\nA) a\nB) b", "output": "B) a"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions, skipped = read_questions(file)
    assert questions == [
        Question("Q1", ("x", "y"), 1),
        Question("Sound does not travel in a", ("solid", "vacuum"), 1),
        Question("It was caught in what?", ("store", "book", "current"), 2),
    ]
    assert skipped == 2
    file.write_text("not json\n")
    with pytest.raises(TrainingError, match="no JSON lines"):
        read_questions(file)
    file.write_text('{"text": "x"}\n')
    with pytest.raises(TrainingError, match="has no question"):
        read_questions(file)
    with pytest.raises(TrainingError, match="cannot be read: No such file"):
        read_questions(tmp_path / "none.jsonl")


def test_our_own_questions_are_sound() -> None:
    questions, skipped = read_questions()
    assert (len(questions), skipped) == (40, 0)
    assert len({q.question for q in questions}) == 40
    places = [q.answer for q in questions]
    assert all(places.count(place) == 10 for place in range(4)), "no place is right more often than another"
    assert all(len(set(q.choices)) == len(q.choices) for q in questions)


def test_a_choice_is_judged_by_what_it_adds_behind_the_question(bundled: LoadedModel) -> None:
    """The log-probability of the choice is that of question and choice less that of the question."""
    question = Question("What do bees make?", ("honey", "milk and butter"), 0)
    judged = judge(bundled, question)
    assert bundled.template is not None
    context = bundled.template.encode([{"role": "user", "content": question.question}], answer=True)
    for choice, total in zip(question.choices, judged.sums, strict=True):
        tokens = bundled.tokenizer.encode(choice)
        with torch.no_grad():
            scores = torch.log_softmax(bundled.model(torch.tensor([context + tokens]))[0].float(), -1)
        expected = sum(float(scores[len(context) - 1 + i, t]) for i, t in enumerate(tokens))
        assert total == pytest.approx(expected, abs=1e-3)
    assert judged.bytes == (5, 15)


def test_norms_choose_differently() -> None:
    judged = Judged((-4.0, -6.0, -5.0), (1, 4, 2), (4, 8, 5), 1)
    assert (judged.best("sum"), judged.best("token"), judged.best("byte")) == (0, 1, 1)


def test_multiple_choice_in_numbers(bundled: LoadedModel) -> None:
    questions, _ = read_questions()
    made = ask_choices(bundled, questions[:12])
    assert made["questions"] == 12
    assert made["chance"] == 0.25
    assert made["accuracy_byte"] > 0.25, "the bundled model knows something"
    assert sum(b["count"] for b in made["bins"]) == 12
    long = Question("word " * 2000, ("a", "b"), 0)
    assert ask_choices(bundled, [long])["too_long"] == 1


GOOD_AND_BAD = {
    "words": ({"at_most": 3}, "one two three", "one two three four"),
    "sentences": ({"exactly": 2}, "It rains. I stay in!", "It rains."),
    "paragraphs": ({"exactly": 2}, "a\n\nb", "a\nb"),
    "bullets": ({"exactly": 2}, "- a\n2. b", "a\nb"),
    "items": ({"exactly": 3}, "Here you are: apple, pear and plum.", "apple and pear"),
    "characters": ({"at_least": 5}, "hello", "hi"),
    "mentions": ({"term": "rain", "exactly": 2}, "Rain, rain.", "rain in Spain"),
    "contains": ({"terms": ["river", "stone"]}, "A stone in the River.", "a riverbank and a stone"),
    "contains_any": ({"terms": ["egg", "bread"]}, "Bread!", "beggars"),
    "avoids": ({"terms": ["big"]}, "a bigger one", "so BIG"),
    "matches": ({"pattern": "^[^z]*$"}, "no", "zoo"),
    "begins": ({"what": "well"}, " Well, yes", "yes, well"),
    "ends": ({"what": "bye!"}, "So, bye! ", "bye!, then"),
    "lower_case": ({}, "so it is", "So it is"),
    "upper_case": ({}, "SO IT IS", "123"),
    "no_commas": ({}, "a and b", "a, b"),
    "quoted": ({}, '"Goodbye"', 'say "Goodbye"'),
    "title": ({}, "<<Sun>>\nThe sun", "<< >>"[:2]),
    "question": ({}, "Where?", "There."),
    "json": ({"keys": ["a"]}, '```json\n{"a": 1}\n```', '{"b": 1}'),
    "number": ({}, "1,204.", "about 4"),
    "exact": ({"answers": ["Paris"]}, '"paris."', "It is Paris"),
}


def test_a_question_that_a_model_has_no_room_for_has_no_answer(bundled: LoadedModel) -> None:
    """A model of a short context is measured all the same, and what it could not be asked is counted."""
    checks = [Check("facts", ("What is the sea? " * 2000,), ".*")]
    found = run_checks(Generator(bundled), SamplingParams(), checks, None)
    assert (found["too_long"], found["rows"][0]["reply"]) == (3, "")
    assert found["groups"]["facts"]["passed"] == 0
    card = "\n".join(sections({"checks": found}))
    assert "3 questions were too long for its context, and count as failed" in card


@pytest.mark.parametrize("name", VERIFIERS)
def test_every_verifier_knows_good_from_bad(name: str) -> None:
    values, good, bad = GOOD_AND_BAD[name]
    assert verify(name, values, good)
    assert not verify(name, values, bad)
    assert not verify(name, values, "  "), "an empty reply keeps to nothing"


def test_loosely_means_without_a_first_or_last_line_or_stars() -> None:
    reply = "Sure! Here it is:\n**paris**"
    assert not verify("exact", {"answers": ["paris"]}, reply)
    assert any(verify("exact", {"answers": ["paris"]}, text) for text in loosened(reply))


def test_following_is_counted_by_prompt_and_by_instruction(tmp_path: Path) -> None:
    file = tmp_path / "i.toml"
    file.write_text(
        '[[instruction]]\nprompt = "p1"\ngroup = "g"\n'
        "verify = { no_commas = {}, words = { exactly = 2 } }\n"
        '[[instruction]]\nprompt = "p2"\nverify = { exact = { answers = ["yes"] } }\n'
    )
    made = follow({"p1": "one, two", "p2": "Of course:\nyes"}.__getitem__, read_instructions(file))
    assert (made["prompts"], made["instructions"]) == (2, 3)
    assert (made["prompt_strict"], made["prompt_loose"]) == (0.0, 0.5)
    assert (made["instruction_strict"], made["instruction_loose"]) == (0.3333, 0.6667)
    assert made["groups"] == {"g": {"passed": 0, "tried": 1}, "all": {"passed": 0, "tried": 1}}


def test_our_instructions_can_all_be_kept_to_and_broken_ones_are_sentences(tmp_path: Path) -> None:
    assert len(read_instructions()) == 30
    bad = tmp_path / "bad.toml"
    for text, expected in (
        ('[[instruction]]\nprompt = "p"\nverify = { wordz = {} }', "no verifier 'wordz'"),
        ('[[instruction]]\nprompt = "p"\nverify = { words = { maximum = 3 } }', "does not take"),
        ('[[instruction]]\nprompt = "p"', "no list of instructions"),
        ("= 3", "no list of instructions"),
        ("", r"has no \[\[instruction\]\]"),
    ):
        bad.write_text(text)
        with pytest.raises(TrainingError, match=expected):
            read_instructions(bad)
