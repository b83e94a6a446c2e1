"""Vocabulary, shards and mix of a prepared run: what is learned, what is on disk, and how often each source is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from engine.text.chat_template import SPECIAL_TOKENS, ChatTemplate
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_files import load_tokenizer
from tests.training.conftest import WORDS
from tests.training.test_data_cleaning import PROSE
from training.data import shards
from training.data.mix import mix_table, mixed
from training.data.prepare import documents_path
from training.data.report import write_report
from training.data.shards import encode, open_shard, write_shards
from training.data.teaching import BPETokenizer
from training.data.text_encoder import TextEncoder
from training.data.tokenizer import PATTERNS, is_stale, texts, tokenizer_json, train_tokenizer
from training.data.vocabulary import Vocabulary, open_vocabulary
from training.data.vocabulary_report import vocabulary_report
from training.recipe import DataRecipe, Recipe, RecipeError, Source, TokenizerRecipe

CHAT = {"messages": [{"role": "user", "content": "the dog?"}, {"role": "assistant", "content": "A big red dog."}]}
SOURCES = (Source("prose", "p.txt", "x", weight=3), Source("chats", "c.jsonl", "x", epochs=2, weight=1))
RECIPE = Recipe(DataRecipe(SOURCES, tokens_m=0.01), TokenizerRecipe(vocab_size=300))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Documents as `prepare` leaves them."""
    rows = {"prose": [{"text": f"{PROSE} {word} {i}."} for i, word in enumerate(WORDS)], "chats": [CHAT] * 6}
    for name, documents in rows.items():
        for split, part in (("train", documents[2:]), ("valid", documents[:2])):
            path = documents_path(tmp_path, split, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(d) + "\n" for d in part))
    row = {"read": 9, "kept": 9, "valid": 2, "characters": 99, "dropped": {}, "examples": {}}
    (tmp_path / "data_report.json").write_text(json.dumps({"prose": row, "chats": row}))
    return tmp_path


@pytest.mark.parametrize("pattern", ["qwen2", "gpt2", "llama3"])
def test_every_pattern_is_split_by_as_the_reference_does(run: Path, pattern: str) -> None:
    train_tokenizer(replace(RECIPE, tokenizer=TokenizerRecipe(vocab_size=310, pattern=pattern)), run)
    ours, theirs = load_tokenizer(run), PreTrainedTokenizerFast(tokenizer_file=str(run / "tokenizer.json"))
    for text in (PROSE, "it's 12345 o'clock\n\n  and IT'S  99% naïve 世界!", " x  y\t\n"):
        assert ours.encode(text) == theirs.encode(text)
    assert set(ours.special_tokens) == set(SPECIAL_TOKENS)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    """A small vocabulary with words, spaces and line ends in it, under each pattern."""
    learned = BPETokenizer.learn("the harbour, the boats (12 of them)\n\nand 345 nets. It's " * 9, 330)
    ranks = {data: number for number, data in learned.bytes_of.items()}
    return {name: Tokenizer(ranks, {}, pattern) for name, pattern in PATTERNS.items()}


@given(
    text=st.text(st.one_of(st.sampled_from("the 12,'s\n. (É\u0301\u00a0\t"), st.characters(codec="utf-8")), max_size=30)
)
def test_clean_text_is_encoded_quickly_and_alike(tokenizers: dict[str, Tokenizer], text: str) -> None:
    for tokenizer in tokenizers.values():
        assert TextEncoder(tokenizer).encode(text) == tokenizer.encode(text)


def test_a_vocabulary_larger_than_the_texts_support_is_a_sentence(run: Path) -> None:
    with pytest.raises(RecipeError, match=r"support a vocabulary of \d+ tokens only: set vocab_size, which is 50000"):
        train_tokenizer(replace(RECIPE, tokenizer=TokenizerRecipe(vocab_size=50_000)), run)
    assert not (run / "tokenizer.json").exists()


def test_a_vocabulary_is_learned_again_when_what_it_stands_on_changes(run: Path) -> None:
    with pytest.raises(RecipeError, match="Run the prepare stage first"):
        is_stale(RECIPE, run / "nowhere")
    assert is_stale(RECIPE, run)
    train_tokenizer(RECIPE, run)
    assert not is_stale(RECIPE, run)
    assert is_stale(replace(RECIPE, tokenizer=TokenizerRecipe(vocab_size=310)), run)
    touch(documents_path(run, "train", "chats"))
    assert is_stale(RECIPE, run)


def touch(path: Path) -> None:
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))


def test_the_vocabulary_is_learned_from_the_mix(run: Path) -> None:
    small = replace(RECIPE, tokenizer=TokenizerRecipe(vocab_size=300, characters_mb=0.002))
    by_weight = list(texts(small, run))
    assert sum("harbour" in t for t in by_weight) == 1500 // len(by_weight[0]), "three quarters of 2,000 characters"
    small = replace(small, data=replace(small.data, tokens_m=0.0, sources=(SOURCES[0], replace(SOURCES[1], epochs=0))))
    assert all("harbour" in t for t in texts(small, run)), "what is not read does not count"


def test_shards_hold_what_the_tokenizer_says(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_tokenizer(RECIPE, run)
    vocabulary = open_vocabulary(run)
    tokenizer = vocabulary.tokenizer
    monkeypatch.setattr(shards, "PIECE", 700)
    report = write_shards(RECIPE, run)
    monkeypatch.setattr(shards, "WORTH_PROCESSES", 0)
    for name in ("prose", "chats"):
        shard = open_shard(run, "train", name)
        lines = documents_path(run, "train", name).read_text().splitlines()
        assert shard.count == len(lines) == report[f"train/{name}"]["documents"]
        assert shard.tokens.dtype == np.uint16
        for index, line in enumerate(lines):
            part = slice(*shard.offsets[index : index + 2])
            ids, mask = encode(json.loads(line), vocabulary, TextEncoder(tokenizer))
            assert shard.tokens[part].tolist() == list(ids)
            assert shard.mask[part].tolist() == list(mask)
    spoken = open_shard(run, "train", "chats")
    assert "A big red dog." in tokenizer.decode(spoken.tokens[spoken.mask.astype(bool)].tolist())
    before = {p: p.read_bytes() for p in (run / "shards").rglob("*.*")}
    for path in documents_path(run, "train", "prose"), documents_path(run, "train", "chats"):
        touch(path)
    assert write_shards(RECIPE, run, processes=2) == report
    assert {p: p.read_bytes() for p in (run / "shards").rglob("*.*")} == before, "processes change nothing"


def test_a_shard_that_is_whole_is_not_made_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_tokenizer(RECIPE, run)
    made: list[str] = []
    write: Callable[..., None] = shards._write_shard
    monkeypatch.setattr(
        shards, "_write_shard", lambda r, split, n, p: (made.append(f"{split}/{n}"), write(r, split, n, p))
    )
    report = write_shards(RECIPE, run)
    assert made == ["train/prose", "train/chats", "valid/prose", "valid/chats"]
    (run / "shards" / "train" / "chats.offsets.npy").unlink()  # as after a kill while it was written
    assert write_shards(RECIPE, run) == report
    assert made[4:] == ["train/chats"]


def test_a_large_vocabulary_takes_four_bytes_a_token(run: Path) -> None:
    ranks = {bytes([b]): b for b in range(256)} | {b"%d!" % i: i for i in range(256, 70_000)}
    data = tokenizer_json({bytes([b]): b for b in range(256)})
    (run / "tokenizer.json").write_text(json.dumps(data))
    tokenizer = Tokenizer(ranks, {name: 70_000 + i for i, name in enumerate(SPECIAL_TOKENS)}, r"\d+!|\s|\w+|.")
    shards._vocabulary.cache_clear()
    write_shards(RECIPE, run)
    assert open_shard(run, "train", "prose").tokens.dtype == np.uint16
    original = shards._vocabulary
    try:
        known = Vocabulary(tokenizer, ChatTemplate(tokenizer), 70_000)
        shards._vocabulary = lambda *_: (known, TextEncoder(tokenizer))
        touch(run / "tokenizer.json")
        documents_path(run, "train", "prose").write_text('{"text": "69999! 300!"}\n')
        write_shards(RECIPE, run)
    finally:
        shards._vocabulary = original
    shard = open_shard(run, "train", "prose")
    assert shard.tokens.dtype == np.uint32
    assert shard.tokens.tolist() == [69_999, 32, 300, 70_000]


def test_the_mix_by_weight_is_gpt3s_table(run: Path) -> None:
    train_tokenizer(RECIPE, run)
    with pytest.raises(RecipeError, match="Run the tokenizer stage first"):
        mixed(RECIPE, run)
    tokens = {name: row["tokens"] for name, row in write_shards(RECIPE, run).items()}
    prose, chats = mix_table(RECIPE, run)
    assert [round(part.share, 2) for part in (prose, chats)] == [0.75, 0.25]
    assert abs(prose.read + chats.read - 10_000) < 3
    assert prose.epochs == pytest.approx(7_500 / tokens["train/prose"])
    assert [s.epochs for s in mixed(RECIPE, run).data.sources] == [prose.epochs, chats.epochs]
    by_epochs = replace(RECIPE, data=replace(RECIPE.data, tokens_m=0.0))
    assert mixed(by_epochs, run) is by_epochs
    assert [part.epochs for part in mix_table(by_epochs, run)] == [1, 2]
    page = write_report(RECIPE, run).read_text()
    assert f"| chats | {chats.tokens:,} | {chats.read:,} | 25.0% | {chats.epochs:.2f} (often) |" in page
    empty = tuple(replace(s, name="gone") if s.name == "chats" else s for s in SOURCES)
    with pytest.raises(RecipeError, match="gone has a weight in the mix, but no training documents"):
        mixed(replace(RECIPE, data=replace(RECIPE.data, sources=empty)), run)


def test_the_vocabulary_is_compared_with_another(run: Path) -> None:
    train_tokenizer(RECIPE, run)
    other = run / "bytes"
    other.mkdir()
    (other / "tokenizer.json").write_text(json.dumps(tokenizer_json({bytes([b]): b for b in range(256)})))
    recipe = replace(RECIPE, tokenizer=TokenizerRecipe(vocab_size=300, compare="bytes"))
    report = vocabulary_report(recipe, run, run)
    assert report["prose"]["bytes"] == report["chats"]["bytes"] == 1.0, "a byte is a token there"
    assert report["prose"]["own"] > 1.5
    write_shards(recipe, run)
    assert "| source | own | bytes |" in write_report(recipe, run).read_text()
    with pytest.raises(RecipeError, match=r"compare: The model folder .* has no tokenizer.json"):
        vocabulary_report(replace(RECIPE, tokenizer=TokenizerRecipe(compare="nosuch")), run, run)


def test_against_gpt2s_own_vocabulary(run: Path) -> None:
    """Where its files are at hand: about four and a half bytes a token of English prose."""
    import bz2

    packed = Path(__file__).parents[2].parent / "shared" / "data" / "gpt2"
    if not packed.is_dir():
        pytest.skip("GPT-2's files are not here")
    (run / "gpt2").mkdir()
    for path in packed.glob("*.bz2"):
        (run / "gpt2" / path.stem).write_bytes(bz2.decompress(path.read_bytes()))
    train_tokenizer(RECIPE, run)
    report = vocabulary_report(replace(RECIPE, tokenizer=TokenizerRecipe(compare="gpt2")), run, run)
    assert 4.0 < report["prose"]["gpt2"] < 5.0
