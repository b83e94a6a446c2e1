from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from training.data.batches import IGNORE, MicroBatch
from training.loop.losses import bits_per_byte
from training.loop.optimizer import lr_scale, make_optimizers, set_lr
from training.recipe import LoRARecipe, RecipeError, TrainRecipe, TranslateRecipe, load_recipe

RECIPES = Path(__file__).parent.parent.parent / "training" / "recipes"
GOOD = '[data]\nsources = [{ name = "a", path = "a.txt", licence = "x" }]\n'


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda p: p.stem)
def test_the_recipes_of_the_house_are_valid(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.export.name == path.stem
    assert all(source.licence for source in recipe.data.sources)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[data", "not valid TOML"),
        ("[data]\n", "names no sources"),
        (GOOD + "[tokeniser]\n", "unknown table \\[tokeniser\\]"),
        (GOOD + "[pretrain]\nlearning = 1\n", "unknown key 'learning'"),
        (GOOD + "[pretrain]\nwarmup_step = 1\n", "did you mean warmup_steps"),
        (GOOD + "[pretrain]\nlr = inf\n", "lr must be of type float, not inf"),
        (GOOD + "[pretrain]\nramp_from = 9000\n", "ramp_from must be from 0 to batch_tokens"),
        (GOOD + "[sft]\nramp_from = 512\n", "ramp_from is for pretrain and mlm"),
        ("data = 3\n", "must be a table, not 3"),
        ("[data]\nsources = 3\n", "sources must be a list of tables"),
        (GOOD + '[pretrain]\nlr = "high"\n', "lr must be of type float"),
        (GOOD + "[pretrain]\ncontext = true\n", "context must be of type int"),
        (GOOD + '[pretrain]\noptimizer = "sgd"\n', "optimizer must be one of"),
        (GOOD + "[pretrain]\ncontext = 4096\n", "context must fit"),
        (GOOD + "[pretrain]\nmicro_tokens = 16\n", "micro_tokens must hold"),
        (GOOD + "[tokenizer]\nvocab_size = 2000000\n", "vocab_size must be between"),
        (GOOD + "[tokenizer]\nvocab_size = 258\n", "vocab_size must be between 259 and"),
        (GOOD + "[model]\nn_kv_head = 4\n", "multiple of n_kv_head"),
        ('[data]\nsources = [{ name = "a", path = "a.txt" }]\n', "licence"),
        (GOOD + "[sft.lora]\nrank = 0\n", r"\[sft.lora\] rank must be"),
        (GOOD + '[sft.lora]\ntargets = ["query"]\n', r"there is no \['query'\]"),
        (GOOD + '[sft.lora]\nrank = "big"\n', r"\[sft.lora\]: rank must be of type int"),
        (GOOD + "[sft]\nlora = 3\n", "must be a table, not 3"),
        (GOOD + '[base]\nmodel = "x"\n[model]\nn_layer = 2\n', "leave out"),
        (GOOD + "[classify]\nepochs = 2\n", "must say in files"),
        (GOOD + '[classify]\nfiles = "a.csv"\ntext = [1]\n', "text must be of type"),
        (GOOD + '[classify]\nfiles = "a.csv"\ncausal = 1\n', "causal must be of type bool"),
        (GOOD + '[classify]\nfiles = "a.csv"\nword_dropout = 0.6\n', "word_dropout must be from 0 to 0.5"),
        (GOOD + '[dpo]\nfiles = "a.jsonl"\nvalid_percent = 50\n', r"\[dpo\] valid_percent"),
        (GOOD + "[mlm]\nmasked = 0.95\n", "at most 1"),
        ('[translate]\nfiles = "a.tsv"\n[translate.lora]\n', "starts from nothing"),
        ('[translate]\nfiles = "a.tsv"\nd_model = 30\n', "even multiple of n_head"),
        ('[translate]\nfiles = "a.tsv"\nbeam = 0\n', "beam must be 1"),
        ('[dpo]\nfiles = "a.jsonl"\nbeta = 0\n', "beta must be above 0"),
        ('[classify]\nfiles = "a.csv"\nlabels = ["a", "a"]\n', "names a label twice"),
        ('[classify]\nfiles = "a.csv"\nlabels = ["a"]\n', "at least two"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(tmp_path / "r.toml")


def test_tables_of_every_stage_are_read(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        '[classify]\nfiles = "a.csv"\ntext = ["subject", "text"]\nlabels = ["ham", "spam"]\n'
        '[classify.lora]\nrank = 4\ntargets = "q"\nlayers = [0, 5]\n[base]\nmodel = "homespun-v0"\n'
    )
    recipe = load_recipe(tmp_path / "r.toml")
    assert recipe.classify.text == ("subject", "text")
    assert recipe.classify.lora == LoRARecipe(4, targets=("q",), layers=(0, 5))
    assert recipe.classify.optimizer == "adamw"
    assert recipe.pretrain.lora is None


def test_rows_are_no_longer_than_a_small_models_context(tmp_path: Path) -> None:
    """A recipe for pretraining alone says nothing of the tuning that it never does."""
    (tmp_path / "r.toml").write_text(GOOD + "[model]\ncontext_length = 64\n[pretrain]\ncontext = 32\n")
    recipe = load_recipe(tmp_path / "r.toml")
    assert (recipe.pretrain.context, recipe.sft.context, recipe.mlm.context) == (32, 64, 64)
    assert recipe.translate.context == TranslateRecipe.context, "which has a model of its own"


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "nosuch.toml")


def test_the_schedule_warms_up_holds_and_falls() -> None:
    recipe = TrainRecipe(warmup_steps=10, decay_fraction=0.5)
    values = [round(lr_scale(step, 100, recipe), 2) for step in (0, 4, 9, 30, 50, 75, 99)]
    assert values == [0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.02]


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_every_parameter_has_exactly_one_optimizer_and_both_learn(name: str) -> None:
    model = GPT(GPTConfig(vocab_size=32, n_layer=2, d_model=32, n_head=2, n_kv_head=1, head_dim=16, d_ff=32))
    init_weights(model)
    optimizers = make_optimizers(model, TrainRecipe(optimizer=name, lr=0.02, adam_lr=0.01))
    held = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    set_lr(optimizers, 0.5)
    assert {g["lr"] for o in optimizers for g in o.param_groups} <= {0.01, 0.005}
    ids = torch.randint(0, 32, (4, 17), generator=torch.Generator().manual_seed(0))
    history = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        history.append(loss.item())
    assert history[-1] < history[0] * 0.7


def test_bits_per_byte_by_hand() -> None:
    """A model that gives every one of 4 tokens the same chance needs 2 bits a token; tokens are 1, 2, 3 or 0 bytes."""
    model = GPT(GPTConfig(vocab_size=4, n_layer=1, d_model=8, n_head=1, n_kv_head=1, head_dim=4, d_ff=8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    targets = torch.tensor([[0, 1, 2, 3, IGNORE]])
    batch = MicroBatch(torch.zeros(1, 5, dtype=torch.long), targets)
    sizes = torch.tensor([1, 2, 3, 0])
    assert bits_per_byte(model, [batch], sizes, torch.device("cpu")) == pytest.approx(3 * 2 / 6)
