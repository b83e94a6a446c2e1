"""What a finished stage leaves in its folder: an adapter with the base it belongs to, or a whole model, with a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine.catalog import find
from engine.decoder.lora import LoRAConfig, merge
from engine.decoder.model import GPT
from engine.files.adapter import fingerprint, save_adapter
from engine.files.model_folder import open_model
from engine.files.writing import shape_and_weights, write_folder
from engine.text.chat_template import END_OF_TURN
from training.data.vocabulary import Vocabulary
from training.loop.checkpoint import load_weights
from training.recipe import Recipe, RecipeError, TrainRecipe
from training.stages.job import Job
from training.stages.start import Start, begin, checkpoint, shape_of


def save_decoder(
    folder: Path, model: GPT, vocabulary: Vocabulary, *, task: str, training: Mapping[str, Any], card: str
) -> None:
    """Write a whole decoder that opens here, under the vocabulary's own files.

    Raises:
        RecipeError: the base is a GGUF file, whose vocabulary has no files that could be copied.
    """
    files = dict(vocabulary_files(vocabulary))
    data, weights = shape_and_weights(model.config, model.state_dict())
    end = vocabulary.tokenizer.special_tokens.get(END_OF_TURN, vocabulary.end)
    documents = {"config.json": {**data, "task": task, "eos_token_id": end}, "training.json": dict(training)}
    known = json.loads(files.pop("tokenizer_config.json", "{}"))
    documents["tokenizer_config.json"] = {**known, "chat_template": vocabulary.template.source}
    write_folder(folder, documents, {**files, "README.md": card}, {"model.safetensors": weights})


def write_result(
    job: Job, stage: str, start: Start, model: GPT, metrics: Mapping[str, Any], patterns: Sequence[str]
) -> Path:
    """What `stage` has made of `start`: its adapter where it trained additions, else the whole model.

    A model that got a token which its base does not have is written whole, additions merged.
    """
    load_weights(checkpoint(job.run, stage), model)
    record = {
        **training_record(job.recipe, stage, start.parent, metrics),
        "parameters": sum(p.numel() for p in model.parameters()),
        "data_hashes": hash_files(job.data, patterns),
    }
    grown = model.config.vocab_size > shape_of(job.recipe, start.vocabulary).vocab_size  # by a token for the mask
    if start.lora is not None and not grown:
        folder = _write_adapter(job, stage, start, model.eval(), start.lora, record)
        tqdm.write(f"{folder}: an adapter for {start.parent}")
        return folder
    merge(model)
    folder, task = job.folder(stage) / "model", "mask" if stage == "mlm" else "chat"
    card = f"# {record['name']}\n\nMade by the {stage} stage from {_parent(job, start)}.\n\n{table(metrics)}\n"
    save_decoder(folder, model, start.vocabulary, task=task, training=record, card=card)
    tqdm.write(f"{folder}: the model")
    return folder


def vocabulary_files(vocabulary: Vocabulary) -> Mapping[str, str]:
    if not vocabulary.files:
        raise RecipeError(
            "The base model is a GGUF file, whose vocabulary cannot be copied into a new folder; take the model's "
            "folder with a tokenizer.json instead, or train an adapter (lora)."
        )
    return vocabulary.files


def _write_adapter(job: Job, stage: str, start: Start, model: GPT, lora: LoRAConfig, record: Mapping[str, Any]) -> Path:
    """`model`'s additions in `run/<stage>/adapter`; where the base is no model's folder yet, it is put beside them."""
    folder, recipe = job.folder(stage) / "adapter", job.recipe
    if start.origin == "base":
        info = find(recipe.base.model)
        base, path = recipe.base.model if info.bundled else str(info.path.resolve()), info.path
    else:
        base, path = "base", job.folder(stage) / "base"
        plain, card = begin(without_lora(recipe, stage), job.run, stage), f"# base\n\nOf the adapter: {start.parent}.\n"
        save_decoder(path, plain.model, plain.vocabulary, task="chat", training={"name": "base"}, card=card)
    training = {**record, "parent_fingerprint": fingerprint(path), "lora": asdict(lora)}
    told = f"\n{table(record['metrics'])}\n" if record["metrics"] else ""
    card = f"# {record['name']}\n\nAn adapter (LoRA) for {_parent(job, start)}, made by the {stage} stage.\n{told}"
    save_adapter(
        folder, model, lora, base=base, architecture=open_model(path).architecture, training=training, card=card
    )
    return folder


def _parent(job: Job, start: Start) -> str:
    """What `start` is, for a card, which knows no path of somebody's machine."""
    base = job.recipe.base.model
    return start.parent.replace(base, Path(base).name) if base else start.parent


def without_lora(recipe: Recipe, stage: str) -> Recipe:
    """`recipe` with the whole model trained in `stage`."""
    return replace(recipe, **{stage: replace(getattr(recipe, stage), lora=None)})


def training_record(recipe: Recipe, stage: str, parent: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a model's training.json."""
    own: TrainRecipe = getattr(recipe, stage)
    return {
        "name": recipe.export.name,
        "licence": recipe.export.licence,
        "stage": stage,
        "parent": parent,
        "recipe": {stage: asdict(own)},
        "seeds": {stage: own.seed},
        "metrics": dict(metrics),
    }


def identity_of_start(job: Job, start: Start, patterns: Sequence[str]) -> dict[str, Any]:
    """What a checkpoint has to agree with besides the recipe's table: where it began, with which words and examples."""
    examples = {"examples": hash_files(job.data, patterns)} if patterns else {}
    return {"starts from": start.parent, "vocabulary": start.vocabulary.mark, **examples}


def hash_files(root: Path, patterns: Sequence[str]) -> dict[str, str]:
    """sha256 by name of every file below `root` that one of `patterns` matches: what a model has learned from."""
    paths = sorted({path for pattern in patterns if pattern for path in root.glob(pattern) if path.is_file()})
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def table(numbers: Mapping[str, Any]) -> str:
    """Plain numbers as a Markdown table; whatever else is in `numbers` is left out."""
    rows = [(key.replace("_", " "), value) for key, value in numbers.items() if isinstance(value, int | float | str)]
    cells = [f"| {key} | {value:.4g} |" if isinstance(value, float) else f"| {key} | {value} |" for key, value in rows]
    return "\n".join(["| | |", "|---|---|", *cells])
