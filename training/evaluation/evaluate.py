"""The `evaluate` stage: how good a run's model is, in the precision and with the sampling it will run with.

Bits per byte on held-out documents, checks, instructions, multiple choice, replies to fixed prompts; or, of a run that
made nothing but a classifier, its report. All into `evaluation.json`, from which `card.py` makes the model's card.
Models that come from no run are `models.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.decoder.model import GPT
from engine.files.model_folder import ENDS, LoadedModel
from engine.protocol import SamplingParams
from engine.run.classifier import Classifier, load_classifier
from engine.run.device import choose
from engine.run.fuse import fuse
from engine.run.rows import pad
from engine.text.tokenizer import Tokenizer
from training.data.documents import as_text
from training.data.labels import read_labelled
from training.data.prepare import documents_path
from training.data.vocabulary import Vocabulary, open_vocabulary
from training.errors import TrainingError
from training.evaluation.checks import plain
from training.evaluation.labelled import measure
from training.evaluation.likelihood import score_documents
from training.evaluation.models import Wish, ask, summary
from training.evaluation.sections import into_card
from training.events import EventLog, read_events
from training.recipe import Recipe, RecipeError
from training.stages.start import checkpoint, trained

TASKS = ("mcq", "checks", "instructions", "samples")
UNTUNED = ("mcq", "samples")  # of a model that has only read texts, and was never told to answer
HELD_OUT = ("bits_per_byte", "loss", "accuracy", "margin")  # what the stages measure on held-out data
SOURCE_TOKENS = 16_384  # that are read of each source's held-out documents, at most


def evaluate(recipe: Recipe, run: Path, device: torch.device, data: Path = Path()) -> dict[str, Any]:
    """Measure the run's tuned model; returns and writes `run/evaluation.json`. `data` is the folder that a classifier's
    examples lie below.

    Raises:
        TrainingError: the model has not been trained yet.
    """
    if not has_chat_model(run) and (run / "classify" / "model").is_dir():
        result = _evaluate_labels(recipe, run, device, data)
    else:
        result = _evaluate_chat(recipe, run, device)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    (run / "evaluation.json").write_text(text, encoding="utf-8")
    score = {group: f"{row['passed']}/{row['tried']}" for group, row in result.get("checks", NONE)["groups"].items()}
    EventLog(run / "events.jsonl").write("evaluated", score=score, bits_per_byte=result.get("bits_per_byte", {}))
    print("\n".join(summary({**result, "texts": result.get("sources", {})})))
    return result


LAST_FIRST = ("dpo", "sft", "pretrain")
NONE: Mapping[str, Any] = {"groups": {}}


def has_chat_model(run: Path) -> bool:
    return any(checkpoint(run, stage).exists() for stage in ("sft", "dpo"))


def _evaluate_chat(recipe: Recipe, run: Path, device: torch.device) -> dict[str, Any]:
    _, model = load_tuned(recipe, run)
    vocabulary = open_vocabulary(run, recipe.base.model)
    place = choose(device.type, "auto")
    model = model.to(device=device, dtype=torch.bfloat16).float().eval().requires_grad_(False)  # as it will be stored
    if model.positions is None:
        model.make_rope(device)  # `to` rounded the tables as well; they are never stored and stay fp32
    result: dict[str, Any] = {stage: stage_numbers(run, stage) for stage in ("pretrain", "sft")}
    if checkpoint(run, "dpo").exists():
        result["dpo"] = stage_numbers(run, "dpo")
    result["parameters"] = model.parameter_count()
    result["device"] = place.note
    result["sources"] = _per_source(recipe, run, _loaded(recipe, model, vocabulary))
    result["bits_per_byte"] = {name: row["bits_per_byte"] for name, row in result["sources"].items()}
    model = model.to(place.dtype)
    if model.positions is None:
        model.make_rope(device)
    fused = fuse(model, place.precision)  # the questions are to what a person will talk to
    e = recipe.export
    params = SamplingParams(e.temperature, top_p=e.top_p, repetition_penalty=e.repetition_penalty)
    tasks, seen = (TASKS, seen_questions(recipe, run)) if has_chat_model(run) else (UNTUNED, None)
    return result | ask(_loaded(recipe, fused, vocabulary), params, Wish(tasks), seen)


def _loaded(recipe: Recipe, model: Any, vocabulary: Vocabulary) -> LoadedModel:
    known = vocabulary.tokenizer.special_tokens
    ends = frozenset({vocabulary.end, *(known[name] for name in ENDS if name in known)})
    return LoadedModel(recipe.export.name, model, vocabulary.tokenizer, vocabulary.template, ends)


def load_tuned(recipe: Recipe, run: Path) -> tuple[Tokenizer, GPT]:
    """(tokenizer, model) of the run's last weights: preferences after instructions after texts; additions are merged.

    Raises:
        RecipeError: there are none yet.
    """
    stage = next((stage for stage in LAST_FIRST if checkpoint(run, stage).exists()), "")
    if not stage:
        cards = [(name, run / name / "model" / "README.md") for name in ("mlm", "translate")]
        where = "".join(f" What {name} made has its numbers in {card}." for name, card in cards if card.is_file())
        raise RecipeError(f"{run} has no model that writes text yet. Run the pretrain or the sft stage first.{where}")
    model = trained(recipe, run, stage)
    return open_vocabulary(run, recipe.base.model).tokenizer, model


def seen_questions(recipe: Recipe, run: Path) -> set[str]:
    """Every user turn in the run's training documents, plain."""
    seen: set[str] = set()
    for source in recipe.data.sources:
        with documents_path(run, "train", source.name).open(encoding="utf-8") as file:
            for line in file:
                document = json.loads(line)
                if "messages" in document:
                    seen.update(plain(m["content"]) for m in document["messages"] if m["role"] == "user")
                elif len(as_text(document)) < 200:
                    seen.add(plain(as_text(document)))
    return seen


def _per_source(recipe: Recipe, run: Path, loaded: LoadedModel) -> dict[str, dict[str, Any]]:
    """Bits per byte and perplexity of each source's held-out documents, every token of the text counted, a chat's
    questions included; documents are read one by one, so that none helps to predict another."""
    result = {}
    for source in recipe.data.sources:
        with documents_path(run, "valid", source.name).open(encoding="utf-8") as file:
            score = score_documents(loaded, map(json.loads, file), SOURCE_TOKENS)
        if score.tokens:
            result[source.name] = score.to_dict()
    return result


def stage_numbers(run: Path, stage: str) -> dict[str, Any]:
    """Tokens, seconds and last held-out numbers of a finished stage, from its own log; empty without one."""
    numbers: dict[str, Any] = {}
    for event in read_events(run / stage / "events.jsonl"):
        if event["kind"] == "end":
            numbers |= {key: event[key] for key in ("step", "tokens", "seconds")}
        elif event["kind"] == "valid":
            numbers |= {key: round(event[key], 4) for key in HELD_OUT if key in event}
    return numbers


def _evaluate_labels(recipe: Recipe, run: Path, device: torch.device, data: Path) -> dict[str, Any]:
    """A run's classifier on its held-out examples."""
    place = choose(device.type, "auto")
    classifier, tokenizer = load_classifier(run / "classify" / "model", place)
    examples = read_labelled(recipe.classify, data, tokenizer).valid
    if not examples:
        raise TrainingError("The recipe holds no examples out, so the classifier cannot be measured (valid_percent).")
    rows = [_probabilities(classifier, example.tokens, place.device) for example in examples]
    true = np.array([example.label for example in examples])
    labels = measure(torch.stack(rows), true, classifier.config.labels)
    result = {"classify": stage_numbers(run, "classify"), "device": place.note, "labels": labels}
    card = run / "classify" / "model" / "README.md"
    card.write_text(into_card(card.read_text(encoding="utf-8"), result), encoding="utf-8")
    return result


@torch.inference_mode()
def _probabilities(classifier: Classifier, tokens: list[int], device: torch.device) -> torch.Tensor:
    ids, lengths = pad([tokens[: classifier.config.context]])
    logits = classifier(ids.to(device), lengths.to(device))[0]
    return (logits / classifier.config.temperature).softmax(-1).cpu()
