"""LoRA: additions start as nothing, merging is exact, and the files are peft's own, for Qwen3 and for GPT-2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from engine.catalog import find, list_models, sampling_defaults
from engine.decoder.lora import TARGETS, LoRAConfig, attach, detach, lora_layers, merge
from engine.decoder.model import GPT
from engine.errors import ModelFolderError
from engine.files.adapter import fingerprint, save_adapter
from engine.files.model_folder import load, load_fused
from engine.protocol import SamplingParams
from engine.run.device import choose

CONFIG = LoRAConfig(rank=4, alpha=8.0)


def ids(count: int = 20, vocabulary: int = 259) -> torch.Tensor:
    return torch.randint(0, vocabulary, (2, count), generator=torch.Generator().manual_seed(3))


def stir(model: GPT) -> None:
    """Make the additions do something."""
    generator = torch.Generator().manual_seed(4)
    for layer in lora_layers(model).values():
        layer.b.data.normal_(0, 0.1, generator=generator)


def write(folder: Path, base: Path, config: LoRAConfig, architecture: str = "qwen3") -> GPT:
    """An adapter in `folder` for the model in `base`; returns the model with its additions beside it."""
    model = load(base).model
    attach(model, config, torch.Generator().manual_seed(1))
    stir(model)
    training = {"name": folder.name, "parent_fingerprint": fingerprint(base)}
    save_adapter(folder, model, config, base=str(base), architecture=architecture, training=training, card="# it\n")
    return model.eval()


def test_additions_start_as_nothing_and_only_they_learn(tiny_folder: Path) -> None:
    model = load(tiny_folder).model
    before = model(ids())
    names = attach(model, CONFIG, torch.Generator().manual_seed(1))
    assert len(names) == 2 * 7
    with torch.no_grad():  # with gradients a CPU takes other steps, which round otherwise
        assert torch.equal(model(ids()), before)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {f"{name}.{matrix}" for name in names for matrix in "ab"}
    stir(model)
    assert not torch.allclose(model(ids()), before, atol=1e-3)
    assert torch.equal(detach(model)(ids()), before)


def test_merged_logits_are_those_of_base_and_adapter(tiny_folder: Path) -> None:
    model = load(tiny_folder).model
    names = set(model.state_dict())
    attach(model, CONFIG)
    stir(model)
    beside = model(ids())
    merge(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model(ids()), beside, atol=1e-5, rtol=1e-5)


def test_targets_and_layers_are_those_asked_for(tiny_folder: Path) -> None:
    model = load(tiny_folder).model
    assert attach(model, LoRAConfig(targets=("q", "v"), layers=(1,))) == [
        "blocks.1.attention.q",
        "blocks.1.attention.v",
    ]
    for wrong in ({"rank": 0}, {"targets": ("query",)}, {"targets": ()}, {"dropout": 1.0}, {"alpha": 0.0}):
        with pytest.raises(ValueError, match="LoRA cannot be done"):
            LoRAConfig(**wrong)
    with pytest.raises(ValueError, match="has no layers"):
        attach(load(tiny_folder).model, LoRAConfig(layers=(7,)))


def test_dropout_is_of_training_only(tiny_folder: Path) -> None:
    model = load(tiny_folder).model
    attach(model, LoRAConfig(rank=4, dropout=0.5))
    stir(model)
    assert torch.equal(model.eval()(ids()), model(ids()))
    model.train()
    assert not torch.equal(model(ids()), model(ids()))


def test_an_adapter_opens_like_a_model_plain_and_fused(tiny_folder: Path, tmp_path: Path) -> None:
    beside = write(tmp_path / "mine", tiny_folder, CONFIG)(ids())
    torch.testing.assert_close(load(tmp_path / "mine").model(ids()), beside, atol=1e-5, rtol=1e-5)
    fused = load_fused(tmp_path / "mine", choose("cpu", "fp32"))
    torch.testing.assert_close(fused.model(ids()), beside, atol=1e-4, rtol=1e-4)
    assert find(str(tmp_path / "mine")).name == "mine"
    assert next(info.name for info in list_models(tmp_path)) == "mine"


def test_an_adapter_is_sampled_as_its_base_wants_it(tmp_path: Path) -> None:
    base = find("homespun-v0").path
    write(tmp_path / "mine", base, CONFIG)
    assert sampling_defaults(tmp_path / "mine") == sampling_defaults(base) != SamplingParams()


def test_peft_opens_ours_on_qwen3(tiny_folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    beside = write(tmp_path / "mine", tiny_folder, CONFIG)(ids())
    base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, str(tmp_path / "mine")).eval()
    torch.testing.assert_close(theirs(ids()).logits, beside, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("targets", [TARGETS, ("q", "v", "up"), ("k", "down"), ("out",)], ids="-".join)
def test_peft_opens_ours_on_gpt2(gpt2_folder: Path, tmp_path: Path, targets: tuple[str, ...]) -> None:
    peft = pytest.importorskip("peft")
    config = LoRAConfig(rank=4, alpha=8.0, targets=targets)
    beside = write(tmp_path / "mine", gpt2_folder, config, "gpt2")(ids())
    torch.testing.assert_close(load(tmp_path / "mine").model(ids()), beside, atol=1e-5, rtol=1e-5)
    base = AutoModelForCausalLM.from_pretrained(gpt2_folder, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, str(tmp_path / "mine")).eval()
    torch.testing.assert_close(theirs(ids()).logits, beside, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["qwen3", "gpt2"])
@pytest.mark.parametrize("rslora", [False, True])
def test_we_open_pefts_own(tiny_folder: Path, gpt2_folder: Path, tmp_path: Path, kind: str, rslora: bool) -> None:
    peft = pytest.importorskip("peft")
    folder = tiny_folder if kind == "qwen3" else gpt2_folder
    targets, pattern = (["q_proj", "down_proj"], "down_proj") if kind == "qwen3" else (["c_attn", "c_fc"], "c_fc")
    config = peft.LoraConfig(
        r=3, lora_alpha=7, target_modules=targets, use_rslora=rslora, init_lora_weights=False,
        rank_pattern={pattern: 5}, alpha_pattern={pattern: 4}, fan_in_fan_out=kind == "gpt2",
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load(tmp_path / "theirs").model(ids())
    assert not torch.allclose(ours, load(folder).model(ids()), atol=1e-2)
    torch.testing.assert_close(ours, theirs(ids()).logits, atol=2e-4, rtol=2e-4)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"base_model_name_or_path": "no-such-model"}, "needs the model no-such-model"),
        ({"base_model_name_or_path": None}, "does not say which model"),
        ({"base_model_name_or_path": "mine"}, "adapter on an adapter"),
        ({"use_dora": True}, "more than plain LoRA"),
        ({"peft_type": "IA3"}, "more than plain LoRA"),
    ],
)
def test_an_adapter_that_cannot_be_opened_is_a_sentence(tiny_folder, tmp_path, change, sentence) -> None:
    write(tmp_path / "mine", tiny_folder, CONFIG)
    edit(tmp_path / "mine", **change)
    with pytest.raises(ModelFolderError, match=sentence):
        load(tmp_path / "mine")


def test_an_adapter_of_other_weights_is_refused(tiny_folder: Path, gpt2_folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "mine", tiny_folder, CONFIG)
    edit(tmp_path / "mine", base_model_name_or_path=str(gpt2_folder))
    with pytest.raises(ModelFolderError, match="other weights"):
        load(tmp_path / "mine")
    (tmp_path / "mine" / "training.json").unlink()
    with pytest.raises(ModelFolderError, match="do not have"):
        load(tmp_path / "mine")


@pytest.fixture(scope="module")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory, byte_tokenizer_json: dict) -> Path:
    """A tiny GPT-2 as transformers writes it."""
    folder = tmp_path_factory.mktemp("gpt2") / "base"
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=259, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(byte_tokenizer_json))
    return folder


def test_the_folders_of_this_test_are_what_they_seem(tiny_folder: Path) -> None:
    config = Qwen3Config.from_pretrained(tiny_folder)
    assert isinstance(Qwen3ForCausalLM.from_pretrained(tiny_folder), Qwen3ForCausalLM)
    assert config.num_hidden_layers == 2
