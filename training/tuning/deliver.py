"""What a run leaves: the model's folder, from the last checkpoint, whether the stage came to its end or was kept early.

An adapter stays one where its base is a whole model; on an adapter nothing can be added, so there it is merged.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engine.catalog import find, is_adapter, read_json
from engine.files.model_folder import save
from engine.text.chat_template import CHATML
from training.data.vocabulary import open_vocabulary
from training.recipe import Recipe
from training.recipe_wish import Wish
from training.stages.classify import classify
from training.stages.job import Job
from training.stages.results import save_decoder, training_record, write_result
from training.stages.start import begin, trained

GENERATION = "generation_config.json"


def deliver(wish: Wish, job: Job, stage: str, finished: bool) -> Path:
    """The folder of the model that the run has made, below `run/model`; `finished`: the stage came to its end.

    Raises:
        TrainingError: it has not learned anything yet.
        EngineError: the base is not there any more.
    """
    folder = job.run / "model" / wish.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if wish.kind == "labels":
        return _classifier(job, folder)
    if wish.kind == "scratch":
        return _from_nothing(wish, job, stage, folder)
    base = find(wish.base)
    if wish.method == "lora" and not is_adapter(base.path):
        made = job.folder(stage) / "adapter"
        if not finished or not made.is_dir():
            start = begin(job.recipe, job.run, stage)
            made = write_result(job, stage, start, start.model, {}, [])
        made.rename(folder)
        return folder
    _whole(wish, job, stage, folder)
    for leftover in ("adapter", "model"):
        shutil.rmtree(job.folder(stage) / leftover, ignore_errors=True)
    config = (base.path.parent if base.path.is_file() else base.path) / GENERATION
    if config.is_file():
        shutil.copy(config, folder / GENERATION)
    return folder


def _whole(wish: Wish, job: Job, stage: str, folder: Path) -> None:
    """All weights, in the precision they are used in."""
    model = trained(job.recipe, job.run, stage).to(torch.bfloat16)
    record = {**record_of(wish, job.recipe, stage), "parameters": model.parameter_count()}
    vocabulary = open_vocabulary(job.run, wish.base)
    card = f"# {wish.name}\n\nMade from {Path(wish.base).name} by the {stage} stage.\n"
    save_decoder(folder, model, vocabulary, task="chat", training=record, card=card)


def _from_nothing(wish: Wish, job: Job, stage: str, folder: Path) -> Path:
    e = job.recipe.export
    model = trained(job.recipe, job.run, stage)
    generation = {
        "do_sample": True,
        "temperature": e.temperature,
        "top_p": e.top_p,
        "repetition_penalty": e.repetition_penalty,
    }
    record = {**record_of(wish, job.recipe, stage), "parameters": model.parameter_count()}
    card = f"# {wish.name}\n\nMade from raw text, of random weights, by homespun on this computer.\n"
    save(
        folder, model, read_json(job.run / "tokenizer.json"), CHATML, generation=generation, training=record, card=card
    )
    return folder


def _classifier(job: Job, folder: Path) -> Path:
    made = job.folder("classify") / "model"
    if not made.is_dir():  # kept early
        classify(job, go_on=False)
    shutil.copytree(made, folder)
    return folder


def record_of(wish: Wish, recipe: Recipe, stage: str) -> dict[str, Any]:
    parent = "" if wish.kind == "scratch" else f"the base model {wish.base}"
    return training_record(recipe, stage, parent, {})


def add_to_record(folder: Path, more: Mapping[str, Any]) -> None:
    """Put `more` into the model's training.json: where it comes from, and its numbers."""
    path = folder / "training.json"
    data = read_json(path) if path.is_file() else {}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({**data, **more}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
