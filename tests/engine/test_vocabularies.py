"""Every kind of vocabulary against the reference (the tokenizers library), as a file, as GGUF, and damaged."""

from __future__ import annotations

import bz2
import json
import os
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from engine.errors import ModelFolderError
from engine.text.piece_tokenizer import PieceTokenizer
from engine.text.split_patterns import LLAMA3_PATTERN, QWEN2_PATTERN
from engine.text.tokenizer_files import load_tokenizer, tokenizer_from_gguf
from tests.engine.test_tokenizer import TORTURE

MARKED = "▁"
ENGLISH = "the dog and the other dogs went to the river, and then they're there again 12 times, 345 in all.\n" * 30
RANDOM = random.Random(0)


def scramble() -> str:
    return "".join(chr(RANDOM.choice([RANDOM.randrange(0xD800), RANDOM.randrange(128), 32])) for _ in range(40))


TEXTS = [
    *TORTURE,
    *(" x", "x ", "  12  34 abc  5", "\n\n\n x", "a\u0301 \u1e9b\u0323 \ufb01", "it'S we'LL 'd"),
    "".join(chr(code) for code in range(0x250)),
    *(
        "".join(chr(RANDOM.choice([RANDOM.randrange(0xD800), RANDOM.randrange(128), 32])) for _ in range(40))
        for _ in range(100)
    ),
]
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>"]


def learn(name: str) -> dict[str, Any]:
    """A small `tokenizer.json` of kind `name`, learned from the torture text and some English."""
    if name == "unigram":
        made = tokenizers.Tokenizer(models.Unigram())
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        learner: Any = trainers.UnigramTrainer(vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>")
    elif name.startswith("piece"):
        made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
        learner = trainers.BpeTrainer(vocab_size=700, special_tokens=[*SPECIAL, *bytes_], show_progress=False)
        replaced = normalizers.Replace(" ", MARKED)
        tail = [decoders.Replace(MARKED, " "), decoders.ByteFallback(), decoders.Fuse()]
        if name == "piece-prepend":  # Llama 2
            made.normalizer = normalizers.Sequence([normalizers.Prepend(MARKED), replaced])
            tail.append(decoders.Strip(" ", 1, 0))
        elif name == "piece-first":  # newer Mistral
            made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
            tail.append(decoders.Strip(" ", 1, 0))
        else:  # Gemma
            made.normalizer = replaced
            made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        made.decoder = decoders.Sequence(tail)
    else:
        made = tokenizers.Tokenizer(models.BPE())
        made.decoder = decoders.ByteLevel()
        plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.pre_tokenizer = {
            "gpt2": gpt2,
            "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"), plain]),
            "llama3": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"), plain]),
            "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2]),
            "odd": pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), gpt2]),
        }[name]
        if name == "qwen2":
            made.normalizer = normalizers.NFC()
        learner = trainers.BpeTrainer(
            vocab_size=600,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|im_start|>"],
            show_progress=False,
        )
    made.train_from_iterator([*TORTURE, ENGLISH], learner)
    data = json.loads(made.to_str())
    if name.startswith("piece"):  # bytes are ordinary pieces, not special ones
        data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    return data


KINDS = ["gpt2", "qwen2", "llama3", "smollm", "odd", "piece-prepend", "piece-first", "piece-gemma", "unigram"]
BY_TIKTOKEN = {"gpt2", "qwen2", "llama3", "smollm"}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "tokenizer.json").write_text(json.dumps(learn(request.param)))
    return request.param, folder


def reference(path: Path) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer.from_file(str(path))
    made.encode_special_tokens = True
    return made


def ids(made: tokenizers.Tokenizer, text: str) -> list[int]:
    return made.encode(text, add_special_tokens=False).ids


def test_ids_and_texts_equal_the_references(kind: tuple[str, Path]) -> None:
    name, folder = kind
    ours, theirs = load_tokenizer(folder), reference(folder / "tokenizer.json")
    assert isinstance(ours, PieceTokenizer) == (name not in BY_TIKTOKEN)
    for text in TEXTS:
        expected = ids(theirs, text)
        if name == "unigram" and "<|" in text:
            continue  # it has control tokens' names among its pieces, and there we part: see the next test
        assert ours.encode(text) == expected
        assert ours.decode(expected) == theirs.decode(expected)
    assert ours.encode_many(TEXTS[:5]) == [ours.encode(text) for text in TEXTS[:5]]


def test_typed_special_tokens_are_text(kind: tuple[str, Path]) -> None:
    ours = load_tokenizer(kind[1])
    assert "<|im_start|>" in ours.special_tokens
    for typed in ("a<|im_start|>b", "</s>", "<s> [INST]", "<unk>"):
        control = {ours.special_tokens[name] for name in SPECIAL if name in ours.special_tokens and name != "<unk>"}
        assert not control & set(ours.encode(typed))


def test_bytes_of_single_tokens_make_the_text(kind: tuple[str, Path]) -> None:
    """As a reply is streamed: token by token, the pieces' bytes one after the other."""
    name, folder = kind
    ours = load_tokenizer(folder)
    for text in ("the dog, again", "👩‍👩‍👧 世界\n  x", " leading"):
        streamed = b"".join(map(ours.token_bytes, ours.encode(text))).decode()
        if name == "unigram" and "👩" in text:
            continue  # it has no bytes to fall back on
        assert (streamed.removeprefix(" ") if ours.leading_space else streamed) == (
            text.removeprefix(" ") if ours.leading_space and name != "piece-prepend" else text
        )


def as_gguf(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The same vocabulary as llama.cpp's converter writes it."""
    vocabulary = dict(data["model"]["vocab"])
    special = {token["content"]: token["id"] for token in data["added_tokens"]}
    tokens = [token for token, _ in sorted((vocabulary | special).items(), key=lambda pair: pair[1])]
    kinds = [3 if token in special else 1 for token in tokens]
    own: dict[str, Any] = {"model": "gpt2", "pre": {"llama3": "llama-bpe", "gpt2": "gpt-2"}.get(name, name)}
    if name.startswith("piece"):
        made = ["".join(m) if isinstance(m, list) else m.replace(" ", "") for m in data["model"]["merges"]]
        own = {
            "model": "llama",
            "scores": [-float(made.index(token)) if token in made else -1e6 for token in tokens],
            "add_space_prefix": name == "piece-prepend",
            "bos_token_id": 1,
        }
        kinds = [2 if t == "<unk>" else 6 if t.startswith("<0x") else k for t, k in zip(tokens, kinds, strict=True)]
    return {f"tokenizer.ggml.{k}": v for k, v in (own | {"tokens": tokens, "token_type": kinds}).items()}


@pytest.mark.parametrize("name", ["gpt2", "qwen2", "llama3", "smollm", "piece-prepend", "piece-gemma"])
def test_the_same_vocabulary_from_gguf(name: str) -> None:
    data = learn(name)
    ours, theirs = tokenizer_from_gguf(as_gguf(data, name)), tokenizers.Tokenizer.from_str(json.dumps(data))
    theirs.encode_special_tokens = True
    for text in TEXTS:
        assert ours.encode(text) == ids(theirs, text)
    assert ours.bos == (1 if name.startswith("piece") else None)


def test_gpt2s_pair_of_files(tmp_path: Path) -> None:
    data = learn("gpt2")
    del data["model"]["vocab"]["<|im_start|>"]
    data["added_tokens"] = []
    (tmp_path / "vocab.json").write_text(json.dumps(data["model"]["vocab"]))
    with pytest.raises(ModelFolderError, match=r"needs merges\.txt"):
        load_tokenizer(tmp_path)
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    theirs = tokenizers.Tokenizer.from_str(json.dumps(data))
    for text in TEXTS:
        assert load_tokenizer(tmp_path).encode(text) == ids(theirs, text)


REAL = Path(os.environ.get("HOMESPUN_TEST_TOKENIZERS", "nowhere"))


@pytest.mark.parametrize("name", ["qwen3", "llama2", "llama3", "gemma3"])
def test_real_vocabularies(name: str) -> None:
    """Set HOMESPUN_TEST_TOKENIZERS to a folder with qwen3/tokenizer.json and so on to run these."""
    if not (REAL / name / "tokenizer.json").is_file():
        pytest.skip("no such file")
    ours, theirs = load_tokenizer(REAL / name), reference(REAL / name / "tokenizer.json")
    for text in TEXTS:
        assert ours.encode(text) == ids(theirs, text)
        assert ours.decode(ours.encode(text)) == theirs.decode(ids(theirs, text))


def test_the_real_gpt2(tmp_path: Path) -> None:
    data = Path(__file__).parents[2].parent / "shared" / "data" / "gpt2"
    if not data.is_dir():
        pytest.skip("no such data")
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / name).write_bytes(bz2.decompress((data / f"{name}.bz2").read_bytes()))
    ours = load_tokenizer(tmp_path)
    vocabulary = json.loads((tmp_path / "encoder.json").read_text())
    lines = (tmp_path / "vocab.bpe").read_text().splitlines()[1:]
    theirs = tokenizers.Tokenizer(models.BPE(vocabulary, [tuple(line.split(" ")) for line in lines if line]))
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in TEXTS:
        assert ours.encode(text) == ids(theirs, text)
    assert ours.vocab_size == 50257


def broken(**changes: Any) -> str:
    data = learn("gpt2")
    data["model"] |= changes
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"model": 3}',
        lambda: json.dumps(learn("gpt2"))[:-500],
        lambda: broken(vocab={}),
        lambda: broken(vocab={"a": 2**60}),
        lambda: broken(vocab={"a": "b"}),
        lambda: broken(vocab={"a": -1}),
        lambda: broken(merges=[["qqq", "zzz"]]),
        lambda: broken(merges=7),
        lambda: json.dumps(learn("gpt2") | {"added_tokens": [{"content": "x", "id": 5}]}),
    ],
)
def test_damaged_files_are_sentences(text: Any, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text() if callable(text) else text)
    began = time.perf_counter()
    with pytest.raises(ModelFolderError):
        load_tokenizer(tmp_path)
    assert time.perf_counter() - began < 2


DAMAGE = ["", "0", "-1", "null", '"', "}", "[", "9" * 20, '"x": ', ",", "1e9", "\\ud800"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_fuzzed_files_are_sentences(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzzed-tokenizer"
    whole = folder / "whole"
    if not whole.exists():
        folder.mkdir()
        whole.write_text(json.dumps(learn("piece-first")))
    text = whole.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        end = at + data.draw(st.integers(0, 12))
        piece = data.draw(st.sampled_from(DAMAGE))
        text = text[:at] + piece + text[end:]
    (folder / "tokenizer.json").write_text(text)
    with suppress(ModelFolderError):
        load_tokenizer(folder).encode("the dog 世界")


@pytest.mark.parametrize(
    "change",
    [
        {"model": "wordpiece"},
        {"model": None},
        {"tokens": ["a"]},
        {"tokens": None},
        {"pre": "mystery"},
        {"token_type": [1]},
        {"token_type": "x"},
    ],
)
def test_damaged_gguf_vocabularies_are_sentences(change: dict[str, Any]) -> None:
    metadata = as_gguf(learn("gpt2"), "gpt2") | {f"tokenizer.ggml.{k}": v for k, v in change.items()}
    with pytest.raises(ModelFolderError, match="GGUF file holds no tokenizer"):
        tokenizer_from_gguf(metadata)
