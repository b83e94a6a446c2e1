"""The original Transformer against torch's own layers, decoding with kept keys, and beam search against every way."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.decoder.encoder_decoder import Attention, Transformer, TransformerConfig, init_transformer, sinusoids
from engine.errors import ModelFolderError
from engine.run.translator import Translator, beam_search, greedy, save_translator
from engine.text.tokenizer_files import load_tokenizer

CONFIG = TransformerConfig(vocab_size=259, context_length=64, d_model=32, n_head=4, n_layer=2, d_ff=48)


def make(config: TransformerConfig = CONFIG) -> Transformer:
    model = Transformer(config)
    init_transformer(model, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:  # biases and norms that a wrong order would show on
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))) * 0.1)
    return model.eval().requires_grad_(False)


def rows(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 259, (len(lengths), max(lengths)), generator=generator)
    return tokens, torch.tensor(lengths)


def copy_attention(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    theirs.in_proj_weight.data = torch.cat([ours.q.weight, ours.k.weight, ours.v.weight])
    theirs.in_proj_bias.data = torch.cat([ours.q.bias, ours.k.bias, ours.v.bias])
    theirs.out_proj.load_state_dict(ours.out.state_dict())


def reference(model: Transformer) -> nn.Transformer:
    """torch's Transformer with `model`'s weights."""
    c = model.config
    pre = c.norm == "pre"
    common = {"dropout": 0.0, "batch_first": True, "norm_first": pre}
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(c.d_model, c.n_head, c.d_ff, **common), c.n_layer,
                                    nn.LayerNorm(c.d_model) if pre else None)  # fmt: skip
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(c.d_model, c.n_head, c.d_ff, **common), c.n_layer,
                                    nn.LayerNorm(c.d_model) if pre else None)  # fmt: skip
    whole = nn.Transformer(c.d_model, custom_encoder=encoder, custom_decoder=decoder, batch_first=True)  # draws anew
    for ours, theirs in [*zip(model.encoder, encoder.layers), *zip(model.decoder, decoder.layers)]:  # noqa: B905
        copy_attention(ours.attention, theirs.self_attn)
        norms = [ours.attention_norm, ours.mlp_norm]
        if ours.cross is not None:
            copy_attention(ours.cross, theirs.multihead_attn)
            norms.insert(1, ours.cross_norm)
        for number, norm in enumerate(norms, 1):
            getattr(theirs, f"norm{number}").load_state_dict(norm.state_dict())
        theirs.linear1.load_state_dict(ours.up.state_dict())
        theirs.linear2.load_state_dict(ours.down.state_dict())
    if pre:
        encoder.norm.load_state_dict(model.encoder_norm.state_dict())
        decoder.norm.load_state_dict(model.decoder_norm.state_dict())
    return whole.eval()


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_layers_compute_what_torchs_do(norm: str) -> None:
    model = make(replace(CONFIG, norm=norm))
    (source, lengths), (target, _) = rows(9, 4, 1), rows(7, 7, 7)
    theirs = reference(model)
    padding = torch.arange(9)[None, :] >= lengths[:, None]
    with torch.no_grad():
        hidden = theirs(
            model._embed(source, 0), model._embed(target, 0), src_key_padding_mask=padding,
            memory_key_padding_mask=padding, tgt_mask=torch.ones(7, 7).triu(1).bool(),
        )  # fmt: skip
    expected = hidden @ model.embedding.weight.T
    torch.testing.assert_close(model(source, lengths, target), expected, atol=1e-4, rtol=1e-4)


def test_positions_are_those_of_the_paper() -> None:
    table = sinusoids(50, 16)
    assert table[0].tolist() == [0.0, 1.0] * 8
    assert table[7, 4].item() == pytest.approx(torch.sin(torch.tensor(7 / 10_000 ** (4 / 16))).item(), abs=1e-5)
    assert table[7, 5].item() == pytest.approx(torch.cos(torch.tensor(7 / 10_000 ** (4 / 16))).item(), abs=1e-5)


def test_token_by_token_is_all_at_once() -> None:
    model, (source, lengths), (target, _) = make(), rows(9, 4), rows(8, 8)
    whole = model(source, lengths, target)
    state = model.begin(source, lengths)
    pieces = [model.step(target[:, a:b], state) for a, b in ((0, 3), (3, 4), (4, 7), (7, 8))]
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-5)


def small(seed: int) -> Transformer:
    """Five tokens only, and lively probabilities."""
    model = Transformer(TransformerConfig(vocab_size=5, context_length=16, d_model=16, n_head=2, n_layer=1, d_ff=16))
    init_transformer(model, torch.Generator().manual_seed(seed))
    model.embedding.weight.data *= 4
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.5])
def test_a_wide_beam_finds_the_best_of_all_translations(seed: int, penalty: float) -> None:
    model, begin, end = small(seed), 3, 4
    source, lengths = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0]]), torch.tensor([4, 2])
    found = beam_search(model, model.begin(source, lengths), begin, end, 4, beam=256, length_penalty=penalty)
    for row in range(2):
        best = (-torch.inf, [])
        for length in range(4):
            for words in itertools.product(range(4), repeat=length):
                target = torch.tensor([[begin, *words]])
                logits = model(source[row : row + 1, : lengths[row]], lengths[row : row + 1], target)[0]
                chances = logits.log_softmax(-1)[range(length + 1), [*words, end]]
                best = max(best, (float(chances.sum()) / ((5 + length + 1) / 6) ** penalty, list(words)))
        assert found[row] == best[1]


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy_and_rows_do_not_disturb_each_other(seed: int) -> None:
    model = small(seed)
    source, lengths = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0], [1, 0, 0, 0]]), torch.tensor([4, 2, 1])
    together = greedy(model, model.begin(source, lengths), 3, 4, 10)
    assert together == beam_search(model, model.begin(source, lengths), 3, 4, 10, beam=1)
    for row in range(3):
        alone = model.begin(source[row : row + 1, : lengths[row]], lengths[row : row + 1])
        assert greedy(model, alone, 3, 4, 10) == [together[row]]


def test_a_folder_opens_and_translates_the_same(tmp_path: Path, byte_tokenizer_json: dict) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(byte_tokenizer_json))

    ours = Translator(make(), load_tokenizer(tmp_path), "en", "de")
    save_translator(
        tmp_path / "mini", ours, {"tokenizer.json": json.dumps(byte_tokenizer_json)}, training={}, card="# mini\n"
    )
    opened = Translator.load(tmp_path / "mini")
    assert (opened.source, opened.target) == ("en", "de")
    sentences = ["A cat.", "", "Where is the long road to the sea, please?" * 3]
    for beam in (1, 3):
        assert opened.translate(sentences, beam) == ours.translate(sentences, beam)
    assert opened.translate([]) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"task": "chat"}, "no translator"), ({"shape": {"n_head": 5}}, "cannot have this shape"),
     ({"shape": {"vocab_size": 3}}, "do not fit")],
)  # fmt: skip
def test_a_wrong_folder_is_a_sentence(tmp_path, byte_tokenizer_json, change, sentence) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(byte_tokenizer_json))

    ours = Translator(make(), load_tokenizer(tmp_path), "en", "de")
    save_translator(tmp_path / "mini", ours, {"tokenizer.json": json.dumps(byte_tokenizer_json)}, training={}, card="")
    path = tmp_path / "mini" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelFolderError, match=sentence):
        Translator.load(tmp_path / "mini")
