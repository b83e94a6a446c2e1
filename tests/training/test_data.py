"""Documents, the split, the vocabulary, shards and batches: what is read, how often, and what the loss is on."""

from __future__ import annotations

import bz2
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from engine.text.tokenizer_files import load_tokenizer
from training.data.batches import IGNORE, Conversations, PackedRows
from training.data.cleaning import clean, clean_text
from training.data.documents import cut, read_source
from training.data.duplicates import fingerprint
from training.data.prepare import documents_path, prepare
from training.data.shards import Shard, open_shard
from training.data.tokenizer import recover_merges
from training.recipe import DataRecipe, RecipeError, Source, TrainRecipe


def chat(*texts: str) -> dict:
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]}


def test_cleaning() -> None:
    assert clean_text("a\x00b\u200b  c \r\nd\r\n\n\n\n\ne \ufeff") == "ab c\nd\n\ne"
    assert clean_text("e\u0301") == "\u00e9"


def test_chats_are_made_whole_or_dropped() -> None:
    assert clean(chat("q", "r", "nobody answers this")) == chat("q", "r")
    assert clean(chat("q", " ")) is None
    assert clean({"messages": [{"role": "assistant", "content": "x"}]}) is None
    assert clean(chat("Hi, I'm [User 1's name].", "Hello, [User 1's name]!")) == chat("Hi, I'm.", "Hello!")
    letter = chat("Write a letter", "Dear [name],\nBest wishes,\n[your name]")
    assert clean(letter) == letter, "a letter's blanks are for its reader"


def test_sources_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n<|endoftext|>\ntwo\nlines\n")
    (tmp_path / "b.jsonl.bz2").write_bytes(
        bz2.compress(b'{"instruction": "q", "input": "i", "output": "r"}\n\n{"text": "t"}\n')
    )
    assert list(read_source(Source("a", "a.txt", "x"), tmp_path)) == [{"text": "one"}, {"text": "two\nlines"}]
    assert list(read_source(Source("b", "b.*", "x"), tmp_path)) == [chat("q\n\ni", "r"), {"text": "t"}]
    (tmp_path / "d.json").write_text(
        '[{"question": "q", "answer": "a"}, {"instruction": "i", "context": "", "response": "r"}]'
    )
    assert list(read_source(Source("d", "d.json", "x"), tmp_path)) == [chat("q", "a"), chat("i", "r")]
    (tmp_path / "e.html").write_text("<html><body><p>page</p></body></html>")
    assert [clean(d, DataRecipe(())) for d in read_source(Source("e", "e.html", "x"), tmp_path)] == [{"text": "page"}]
    with pytest.raises(RecipeError, match="nothing matches"):
        list(read_source(Source("c", "c.*", "x"), tmp_path))


def test_long_documents_are_cut_between_paragraphs_and_nothing_is_lost() -> None:
    text = "\n\n".join(f"paragraph {i} " + "x" * 50 for i in range(40))
    pieces = [piece["text"] for piece in cut({"text": text}, 300)]
    assert len(pieces) > 5
    assert "\n\n".join(pieces) == "\n\n".join(part.strip() for part in text.split("\n\n"))


def test_no_document_stands_on_both_sides_and_the_report_adds_up(tmp_path: Path) -> None:
    texts = [f"document number {i} with some words" for i in range(400)]
    documents = [*texts, *(t.upper() + "!" for t in texts), "short", ""]
    (tmp_path / "a.txt").write_text("\n<|endoftext|>\n".join(documents))
    recipe = DataRecipe((Source("a", "a.txt", "x"),), valid_percent=20)
    report = prepare(recipe, tmp_path, tmp_path / "run")["a"]
    assert report["kept"] == 400
    assert report["dropped"] == {"duplicate": 400, "short": 1}, "the same but for case and punctuation"
    assert report["read"] == 801
    assert report["examples"]["short"] == ["short"]
    assert 50 < report["valid"] < 110
    sides = []
    for split in ("train", "valid"):
        rows = documents_path(tmp_path / "run", split, "a").read_text().splitlines()
        sides.append({fingerprint(json.loads(row)) for row in rows})
    assert not sides[0] & sides[1]
    assert sum(map(len, sides)) == 400


def test_the_vocabulary_is_what_the_reference_computes(finished: Path) -> None:
    ours = load_tokenizer(finished)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(finished / "tokenizer.json"))
    for text in ("The dog sees the river. \n\n And then?", "unseen wörds 123 世界", "   spaces"):
        assert ours.encode(text) == theirs.encode(text)
    assert ours.vocab_size == 320


def test_merges_are_recovered_from_ranks() -> None:
    ranks = {bytes([b]): b for b in range(256)} | {b"ab": 256, b"cd": 257, b"abcd": 258, b"abcda": 259}
    assert recover_merges(ranks) == [(b"a", b"b"), (b"c", b"d"), (b"ab", b"cd"), (b"abcd", b"a")]
    with pytest.raises(ValueError, match="cannot be made"):
        recover_merges({bytes([b]): b for b in range(256)} | {b"abc": 256})


def shard(name: str, sizes: list[int], first: int = 0) -> Shard:
    """Documents whose every token says which document it is of."""
    tokens = np.repeat(np.arange(first, first + len(sizes)), sizes).astype(np.uint16)
    mask = np.ones(len(tokens), np.uint8)
    return Shard(name, tokens, mask, np.array([0, *np.cumsum(sizes)]))


def test_packing_reads_every_document_as_often_as_the_recipe_says() -> None:
    shards = [shard("a", [10] * 30), shard("b", [7] * 40, 100)]
    sources = [Source("a", "", "", epochs=3), Source("b", "", "", epochs=0.5)]
    rows = PackedRows(shards, sources, TrainRecipe(context=16, batch_tokens=64, micro_tokens=32))
    count: Counter[int] = Counter()
    for step in range(rows.steps):
        for micro in rows.step(step):
            assert micro.inputs.shape == micro.targets.shape == (2, 16)
            assert (micro.inputs[:, 1:] == micro.targets[:, :-1]).all()
            count.update(micro.inputs.flatten().tolist())
    total = rows.steps * 64
    assert total > (30 * 10 * 3 + 20 * 7) - 2 * 64, "no more than the last partial step is left over"
    share = sum(n for token, n in count.items() if token < 100) / total
    assert abs(share - 900 / 1040) < 0.08
    assert max(n for token, n in count.items() if token < 100) <= 30
    again = PackedRows(shards, sources, TrainRecipe(context=16, batch_tokens=64, micro_tokens=32))
    assert (again.step(3)[1].inputs == rows.step(3)[1].inputs).all()


def test_the_loss_of_tuning_is_on_the_assistants_words_only(finished: Path) -> None:
    tokenizer = load_tokenizer(finished)
    source = Source("chats", "", "", sft_epochs=1)
    recipe = TrainRecipe(context=64, batch_tokens=256, micro_tokens=256)
    chats = Conversations([open_shard(finished, "train", "chats")], [source], recipe, pad=0)
    documents = [json.loads(line) for line in documents_path(finished, "train", "chats").open(encoding="utf-8")]
    said = {m["content"] for d in documents for m in d["messages"] if m["role"] == "assistant"}
    seen = 0
    for step in range(chats.steps):
        for micro in chats.step(step):
            assert micro.inputs.numel() <= 256
            for row in micro.targets:
                spoken = tokenizer.decode([int(t) for t in row if t != IGNORE])
                seen += any(spoken.startswith(text[: len(spoken)]) or text in spoken for text in said)
                assert "assistant\n" not in spoken
    assert seen > 20
