"""Going on from GPT-2, as transformers writes it: its vocabulary has no tokens for turns, its projections are joint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from engine.files.model_folder import load
from engine.run.classifier import TextClassifier
from engine.text.split_patterns import GPT2_PATTERN
from engine.text.tokenizer import byte_symbols
from tests.training.stage_setup import RECIPE, job_of, recipe_in, with_lora, write_examples
from tests.training.test_stage_runs import run_stage
from training.data.vocabulary import open_vocabulary
from training.stages.start import trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples, and a tiny GPT-2 in `base`."""
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=257, n_positions=128, n_embd=32, n_layer=2, n_head=2, initializer_range=0.2)
    GPT2LMHeadModel(config).save_pretrained(folder / "base")
    vocabulary = {symbol: byte for byte, symbol in byte_symbols().items()} | {"<|endoftext|>": 256}
    (folder / "base" / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "base" / "merges.txt").write_text("#version: 0.2\n")
    (folder / "base" / "tokenizer_config.json").write_text('{"model_max_length": 1024}')
    write_examples(folder)
    return folder


def test_its_vocabulary_is_used_and_turns_get_headings(folder: Path, tmp_path: Path) -> None:
    vocabulary = open_vocabulary(tmp_path, str(folder / "base"))
    assert vocabulary.tokenizer.pattern == GPT2_PATTERN
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    tokens, mask = vocabulary.template.encode_with_mask(chat)
    text = vocabulary.tokenizer.decode(tokens)
    assert text == "### Instruction:\nhi\n\n### Response:\nyes\n\n"
    assert [t for t, m in zip(tokens, mask, strict=True) if m] == [*b"yes", 256], "the end is learned too"
    prompt = vocabulary.template.encode(chat[:1], answer=True)
    assert tokens[: len(prompt)] == prompt


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("stage", ["pretrain", "sft", "dpo", "classify", "mlm"])
def test_every_stage_goes_on_from_it(folder: Path, tmp_path: Path, stage: str, lora: bool) -> None:
    recipe = recipe_in(folder, with_lora(RECIPE, stage) if lora else RECIPE)
    job = job_of(folder, tmp_path / "run", recipe)
    assert run_stage(stage, job)
    result = job.folder(stage) / ("adapter" if lora and stage not in ("classify", "mlm") else "model")
    if stage == "classify":
        assert TextClassifier.load(result).classify(["The dog."])[0].label in ("calm", "loud")
        return
    opened = load(result)
    ids = torch.randint(0, 250, (2, 20), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(opened.model(ids), trained(recipe, job.run, stage)(ids), atol=1e-4, rtol=1e-4)
    if not lora and stage != "mlm":
        assert opened.template is not None, "the headings are kept with the model"


def test_peft_opens_what_was_trained_on_it(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    job = job_of(folder, tmp_path / "run", recipe_in(folder, with_lora(RECIPE, "pretrain")))
    assert run_stage("pretrain", job)
    base = GPT2LMHeadModel.from_pretrained(folder / "base")
    theirs = peft.PeftModel.from_pretrained(base, str(job.folder("pretrain") / "adapter")).eval()
    ids = torch.randint(0, 250, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(ids).logits
    torch.testing.assert_close(load(job.folder("pretrain") / "adapter").model(ids), expected, atol=1e-4, rtol=1e-4)
