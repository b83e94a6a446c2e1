"""The `export` stage: the tuned model as a model folder that the app, and transformers, open."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from engine.decoder.model import GPT
from engine.files.model_folder import save
from engine.files.stored import read_safetensors
from engine.files.writing import shape_and_weights, write_folder
from engine.text.chat_template import CHATML, END_OF_TURN
from training.data.vocabulary import Vocabulary, open_vocabulary
from training.evaluation.card import is_qwen3, model_card
from training.evaluation.evaluate import has_chat_model, load_tuned
from training.recipe import Recipe, RecipeError
from training.stages.results import vocabulary_files
from training.stages.start import checkpoint


def export(recipe: Recipe, run: Path, out: Path, recipe_path: Path, settings: Sequence[str] = ()) -> Path:
    """Write `out/<name>` from a run that has been trained and evaluated; returns that folder.

    `recipe_path` and `settings`, what was set over the recipe, are for the command in the card.

    Raises:
        RecipeError: a stage before this one has not been done.
    """
    if not has_chat_model(run) and (run / "classify" / "model").is_dir():
        return _copy_classifier(run / "classify" / "model", out / recipe.export.name)
    _, model = load_tuned(recipe, run)
    evaluation = _read(run / "evaluation.json")
    command = _command(recipe, run, recipe_path, settings)
    training = {
        "name": recipe.export.name,
        "licence": recipe.export.licence,
        "parameters": model.parameter_count(),
        "recipe": recipe.to_dict(),
        "data_hashes": data_hashes(recipe, run),
        "parent": recipe.base.model or None,
        "seeds": {"pretrain": recipe.pretrain.seed, "sft": recipe.sft.seed},
        "metrics": {key: evaluation[key] for key in ("pretrain", "sft", "dpo", "bits_per_byte") if key in evaluation}
        | ({"checks": evaluation["checks"]["groups"]} if "checks" in evaluation else {}),
    }
    folder = out / recipe.export.name
    e = recipe.export
    generation = {
        "do_sample": True,
        "temperature": e.temperature,
        "top_p": e.top_p,
        "repetition_penalty": e.repetition_penalty,
    }
    card = model_card(recipe, evaluation, _read(run / "tokens_report.json") if recipe.data.sources else {}, command)
    if recipe.base.model or not is_qwen3(recipe):
        _save_tuned(folder, model, open_vocabulary(run, recipe.base.model), generation, training, card)
    else:
        save(folder, model, _read(run / "tokenizer.json"), CHATML, generation=generation, training=training, card=card)
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB of weights")
    return folder


def _save_tuned(
    folder: Path, model: GPT, vocabulary: Vocabulary, generation: dict[str, Any], training: dict[str, Any], card: str
) -> None:
    """A model of any shape, under the vocabulary and chat template of its run or of the model it went on from."""
    files = dict(vocabulary_files(vocabulary))
    state = {name: tensor.detach().to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    data, weights = shape_and_weights(model.config, state)
    end = vocabulary.tokenizer.special_tokens.get(END_OF_TURN, vocabulary.end)
    documents = {
        "config.json": {**data, "task": "chat", "eos_token_id": end, "pad_token_id": vocabulary.end},
        "generation_config.json": {"eos_token_id": sorted({end, vocabulary.end}), **generation},
        "training.json": training,
    }
    known = json.loads(files.pop("tokenizer_config.json", "{}"))
    documents["tokenizer_config.json"] = {**known, "chat_template": vocabulary.template.source}
    write_folder(folder, documents, {**files, "README.md": card}, {"model.safetensors": weights})


def _copy_classifier(made: Path, folder: Path) -> Path:
    """The model of a run that made nothing else: it is a model's folder already, with its numbers in its card."""
    texts = {p.name: p.read_text(encoding="utf-8") for p in made.iterdir() if p.suffix in (".json", ".md", ".txt")}
    tensors = {name: stored.read() for name, stored in read_safetensors(made / "model.safetensors").items()}
    write_folder(folder, {}, texts, {"model.safetensors": tensors})
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB of weights")
    return folder


def data_hashes(recipe: Recipe, run: Path) -> dict[str, str]:
    """sha256 of each source's training tokens: what the model has read, exactly."""
    return {
        source.name: hashlib.sha256((run / "shards" / "train" / f"{source.name}.tokens").read_bytes()).hexdigest()
        for source in recipe.data.sources
    }


def _command(recipe: Recipe, run: Path, recipe_path: Path, settings: Sequence[str]) -> str:
    """What makes the model again, with the stages that made it."""
    words = f"{_short(recipe_path)} --data DATA" + "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    trained = [stage for stage in ("pretrain", "mlm", "sft", "dpo") if checkpoint(run, stage).exists()]
    if trained == ["pretrain", "sft"]:
        return f"python -m training all {words}"
    stages = [*(("prepare", "tokenizer") if recipe.data.sources else ()), *trained, "evaluate", "export"]
    return f"for stage in {' '.join(stages)}; do python -m training $stage {words}; done"


def _short(path: Path) -> str:
    """`path` from the repository's root, where it is below it; never a path of somebody's machine."""
    here = Path(__file__).parent.parent  # the package
    return str(path.resolve().relative_to(here.parent)) if path.resolve().is_relative_to(here) else path.name


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise RecipeError(f"{path} is missing. Run the stages before export first.")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
