"""Classifiers: the head reads the last real token (as transformers does), padding changes nothing, folders open."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import Qwen3ForSequenceClassification

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.errors import ModelFolderError
from engine.run.classifier import (
    Classifier,
    ClassifierConfig,
    TextClassifier,
    encode,
    fit_temperature,
    is_classifier,
    pool,
    save_classifier,
)
from engine.run.compiled.linear import compiles
from engine.run.compiled.step import MOST
from engine.run.device import choose
from engine.run.rows import by_length, pad
from engine.text.tokenizer_files import load_tokenizer

SHAPE = GPTConfig(vocab_size=259, context_length=64, n_layer=2, n_head=4, n_kv_head=2, head_dim=8, d_model=32, d_ff=64)
GPT2 = replace(
    SHAPE, n_kv_head=4, position="learned", norm="layer", mlp="gelu", qk_norm=False, mlp_bias=True,
    attention_bias=True, output_bias=True, norm_eps=1e-5,
)  # fmt: skip
TEXTS = ["free money now", "See you at noon, then.", "a", "", "Longer than the context. " * 9]


def make(shape: GPTConfig = SHAPE, **settings: object) -> Classifier:
    config = ClassifierConfig(**{"labels": ("ham", "spam", "unsure"), "context": 48, **settings})
    model = Classifier(GPT(shape), config)
    generator = torch.Generator().manual_seed(5)
    init_weights(model.body, generator)
    for parameter in model.body.parameters():
        if parameter.dim() > 1:
            parameter.data *= 10
    model.score.weight.data.normal_(0, 0.5, generator=generator)
    return model.eval().requires_grad_(False)


def write(folder: Path, model: Classifier, tokenizer_json: dict) -> Path:
    save_classifier(
        folder, model, {"tokenizer.json": json.dumps(tokenizer_json)}, training={"name": "mini"}, card="# mini\n"
    )
    return folder


@pytest.mark.parametrize("shape", [SHAPE, GPT2], ids=["qwen3", "gpt2"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing(shape: GPTConfig, pooling: str, causal: bool) -> None:
    model = make(shape, pooling=pooling, causal=causal)
    rows = [[7, 8, 9, 10, 11, 12, 13], [20, 21], [30]]
    alone = torch.cat([model(*pad([row])) for row in rows])
    tokens, lengths = pad(rows)
    torch.testing.assert_close(model(tokens, lengths), alone, atol=1e-4, rtol=1e-4)
    tokens[1, 2:] = 99  # whatever stands in the padding
    torch.testing.assert_close(model(tokens, lengths), alone, atol=1e-4, rtol=1e-4)


def test_the_head_reads_the_last_real_token() -> None:
    model = make()
    tokens, lengths = pad([[7, 8, 9, 10, 11], [20, 21, 22]])
    hidden = model.body.hidden(tokens)
    expected = F.linear(torch.stack([hidden[0, 4], hidden[1, 2]]), model.score.weight)
    torch.testing.assert_close(model(tokens, lengths), expected)


@pytest.mark.skipif(not compiles("int8"), reason="there is no machine code for this processor or system")
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("causal", [True, False])
def test_in_int8_a_text_is_read_alone_and_a_long_one_by_torch(
    pooling: str, causal: bool, tmp_path: Path, byte_tokenizer_json: dict
) -> None:
    shape = replace(SHAPE, head_dim=16, d_model=64, context_length=2 * MOST)
    model = make(shape, pooling=pooling, causal=causal, context=2 * MOST)
    folder = write(tmp_path / "mini", model, byte_tokenizer_json)
    rounded, exact = TextClassifier.load(folder, choose("cpu", "int8")), TextClassifier.load(folder)
    texts = [*TEXTS, "How do you do? " * 30]
    found, expected = rounded.logits(texts), exact.logits(texts)
    assert (found - expected).norm() < 0.1 * expected.norm()
    for text, row in zip(texts, found, strict=True):
        torch.testing.assert_close(rounded.logits([text])[0], row, atol=1e-5, rtol=1e-5)


def test_without_the_causal_mask_later_words_change_what_an_earlier_one_is() -> None:
    one, other = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[5, 6, 7, 99]])
    from engine.decoder.view import both_ways

    body, view = make().body, both_ways(torch.tensor([4]), 4)
    assert torch.equal(body.hidden(one)[0, 0], body.hidden(other)[0, 0])
    assert not torch.allclose(body.hidden(one, view=view)[0, 0], body.hidden(other, view=view)[0, 0], atol=1e-3)


@pytest.mark.parametrize("shape", [SHAPE, GPT2], ids=["qwen3", "gpt2"])
def test_a_folder_opens_and_says_the_same(shape, tmp_path: Path, byte_tokenizer_json: dict) -> None:
    model = make(shape, pooling="mean", causal=False, temperature=2.0)
    folder = write(tmp_path / "mini", model, byte_tokenizer_json)
    assert is_classifier(folder)
    opened = TextClassifier.load(folder)
    assert opened.config == model.config
    rows = [encode(opened.tokenizer, text)[:48] for text in TEXTS]
    expected = torch.cat([(model(*pad([row])) / 2.0).softmax(-1) for row in rows])
    torch.testing.assert_close(opened.probabilities(TEXTS), expected, atol=1e-5, rtol=1e-4)
    said = opened.classify(TEXTS)
    assert [one.cut for one in said] == [0, 0, 0, 0, 225 - 48]
    for one, row in zip(said, expected, strict=True):
        assert one.label == opened.labels[int(row.argmax())]
        assert one.probability == pytest.approx(float(row.max()), abs=1e-4)
    assert opened.classify([]) == []
    rounded = TextClassifier.load(folder, choose("cpu", "bf16"))  # the model is livelier than real ones
    torch.testing.assert_close(rounded.probabilities(TEXTS), expected, atol=0.1, rtol=0.1)


def test_transformers_opens_it_and_pools_the_same_token(tmp_path: Path, byte_tokenizer_json: dict) -> None:
    model = make()
    folder = write(tmp_path / "mini", model, byte_tokenizer_json)
    theirs = Qwen3ForSequenceClassification.from_pretrained(folder)
    assert theirs.config.id2label == {0: "ham", 1: "spam", 2: "unsure"}
    tokens, lengths = pad([[7, 8, 9, 10, 11], [20, 21, 22], [30]])
    mask = torch.arange(5)[None, :] < lengths[:, None]
    with torch.no_grad():
        logits = theirs(tokens, attention_mask=mask).logits
    torch.testing.assert_close(model(tokens, lengths), logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"task": "chat"}, "holds no classifier"),
        ({"id2label": {"0": "ham", "1": "spam"}}, "no head"),
        ({"id2label": {"0": "ham"}}, "at least two labels"),
        ({"classifier": {"pooling": "first"}}, "no pooling 'first'"),
        ({"classifier": {"context": 4096}}, "made for fewer"),
    ],
)
def test_a_wrong_folder_is_a_sentence(tmp_path, byte_tokenizer_json, change, sentence) -> None:
    folder = write(tmp_path / "mini", make(), byte_tokenizer_json)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelFolderError, match=sentence):
        TextClassifier.load(folder)


def test_what_differs_behind_the_context_is_read_once(
    tmp_path: Path, byte_tokenizer_json: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence leaves out passages, most of which a network that reads beginnings does not see."""
    classifier = TextClassifier.load(write(tmp_path / "mini", make(context=16), byte_tokenizer_json))
    texts = ["The same beginning " + end for end in ("a", "b", "c")] + ["Another", "The same beginning a"]
    alone = torch.cat([classifier.logits([text]) for text in texts])
    rows = []

    def counting(*arguments: Any) -> torch.Tensor:
        rows.append(len(arguments[2]))
        return pool(*arguments)

    monkeypatch.setattr("engine.run.classifier.pool", counting)
    torch.testing.assert_close(classifier.logits(texts), alone, atol=1e-5, rtol=1e-5)
    assert sum(rows) == 2


def test_batches_hold_texts_of_like_length_and_every_text_once() -> None:
    lengths = [5, 100, 3, 40, 41, 39, 1, 300]
    batches = list(by_length(lengths, budget=120))
    assert sorted(i for batch in batches for i in batch) == list(range(8))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 120 for batch in batches)
    assert batches[-1] == [7], "one that is too long for any batch is alone"


def test_calibration_finds_the_temperature_that_logits_were_sharpened_by() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 3, generator=generator) * 2
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits * 3.0, labels) == pytest.approx(3.0, rel=0.05)
    assert fit_temperature(logits / 2.0, labels) == pytest.approx(0.5, rel=0.05)


def test_an_empty_text_has_one_token(tmp_path: Path, byte_tokenizer_json: dict) -> None:
    tokenizer = load_tokenizer(write(tmp_path / "mini", make(), byte_tokenizer_json))
    assert encode(tokenizer, "") == [tokenizer.special("<|endoftext|>")]
