"""Evaluating any model: bundled, imported, a folder, a GGUF file, an adapter. A run is `evaluate.py`.

Which questions are asked is `checks.py`, `instructions.py`, `choices.py` and `likelihood.py`; this owns the tasks'
names and what a model is asked with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.catalog import describe, sampling_defaults
from engine.files.model_folder import LoadedModel, load_fused
from engine.protocol import SamplingParams
from engine.run.classifier import TextClassifier, is_classifier, load_classifier
from engine.run.device import Placement, choose
from engine.run.generate import Generator
from training.errors import TrainingError
from training.evaluation.checks import CHECKS, answer, load_checks, run_checks
from training.evaluation.choices import SAMPLE, ask_choices, read_questions
from training.evaluation.instructions import INSTRUCTIONS, follow, read_instructions
from training.evaluation.labelled import evaluate_classifier
from training.evaluation.likelihood import score_files

TASKS = ("perplexity", "mcq", "checks", "instructions", "samples", "labels")


@dataclass(frozen=True)
class Wish:
    """What is to be measured, and on what."""

    tasks: tuple[str, ...]
    texts: tuple[Path, ...] = ()  # for perplexity
    questions: Path = SAMPLE  # for mcq
    checks: Path = CHECKS  # for checks and samples
    instructions: Path = INSTRUCTIONS
    labelled: Path | None = None  # for labels
    limit: int = 0  # questions that each task asks; 0: all
    text_tokens: int = 0  # that are read of each text; 0: all

    def __post_init__(self) -> None:
        if unknown := [task for task in self.tasks if task not in TASKS]:
            raise TrainingError(f"There is no task {unknown[0]!r}; choose among {', '.join(TASKS)}.")
        if "perplexity" in self.tasks and not self.texts:
            raise TrainingError("Perplexity needs a text: name one with --text FILE, or leave the task out.")
        if "labels" in self.tasks and self.labelled is None:
            raise TrainingError("The task labels needs examples: name a table with --labelled FILE.")


def evaluate_model(source: Path, wish: Wish, place: Placement | None = None) -> dict[str, Any]:
    """Every number that `wish` asks for of the model at `source`.

    Raises:
        TrainingError: the model cannot do a task, or a file cannot be read.
        ModelFolderError: the model cannot be opened.
    """
    info, place = describe(source), place or choose()
    result: dict[str, Any] = {"model": info.name, "device": place.note}
    if source.is_dir() and is_classifier(source):
        if other := [task for task in wish.tasks if task != "labels"]:
            raise TrainingError(f"{info.name} is a classifier, which cannot do {other[0]}; its task is labels.")
        model, tokenizer = load_classifier(source, place)
        result["parameters"] = sum(p.numel() for p in model.parameters())
        classifier = TextClassifier(model, tokenizer, info.name, place)
        assert wish.labelled is not None
        return {**result, "labels": evaluate_classifier(classifier, wish.labelled)}
    if "labels" in wish.tasks:
        raise TrainingError(f"{info.name} writes text and has no labels; the task labels is for classifiers.")
    loaded = load_fused(source, place)
    params = sampling_defaults(source) if source.is_dir() else SamplingParams()
    result["parameters"] = loaded.model.parameter_count()
    result["sampling"] = {k: v for k, v in vars(params).items() if k in ("temperature", "top_k", "top_p", "min_p")}
    result["sampling"]["repetition_penalty"] = params.repetition_penalty
    return {**result, **ask(loaded, params, wish, seen=None)}


def ask(loaded: LoadedModel, params: SamplingParams, wish: Wish, seen: set[str] | None) -> dict[str, Any]:
    """The tasks of `wish` that are for models which write text."""
    generator = Generator(loaded)
    result: dict[str, Any] = {}
    prompts, checks = load_checks(wish.checks)
    if "perplexity" in wish.tasks:
        result["texts"] = score_files(loaded, wish.texts, wish.text_tokens)
    if "mcq" in wish.tasks:
        questions, skipped = read_questions(wish.questions, wish.limit)
        result["mcq"] = {"file": wish.questions.name, "other_lines": skipped, **ask_choices(loaded, questions)}
    if "samples" in wish.tasks:
        result["replies"] = [[p, answer(generator, params, (p,), seed=1).text] for p in _first(prompts, wish.limit)]
    if "checks" in wish.tasks:
        result["checks"] = run_checks(generator, params, _first(checks, wish.limit), seen)
    if "instructions" in wish.tasks:
        told = _first(read_instructions(wish.instructions), wish.limit)
        result["instructions"] = follow(partial(_reply, generator, params), told)
    return result


def _reply(generator: Generator, params: SamplingParams, prompt: str) -> str:
    return answer(generator, params, (prompt,), seed=1).text


def _first(rows: Sequence[Any], limit: int) -> list[Any]:
    return list(rows[:limit] if limit else rows)


def summary(result: Mapping[str, Any]) -> list[str]:
    """The numbers in a few lines, for the terminal."""
    lines = [
        f"{name}: {text['bits_per_byte']:.4f} bits per byte, perplexity {text['perplexity']:.2f} "
        f"({text['tokens']:,} tokens)"
        for name, text in result.get("texts", {}).items()
    ]
    if mcq := result.get("mcq"):
        lines.append(
            f"multiple choice ({mcq['questions']} questions, chance {mcq['chance']:.1%}): "
            f"{mcq['accuracy_byte']:.1%} ± {mcq['accuracy_byte_error']:.1%} by likelihood a byte, "
            f"{mcq['accuracy_sum']:.1%} by the sum; calibration error {mcq['expected_error']:.3f}"
        )
    if checks := result.get("checks"):
        groups = ", ".join(f"{name} {c['passed']}/{c['tried']}" for name, c in checks["groups"].items())
        lines.append(f"checks passed: {groups}")
    if told := result.get("instructions"):
        lines.append(
            f"instructions kept: {told['prompt_strict']:.1%} of {told['prompts']} prompts strictly, "
            f"{told['prompt_loose']:.1%} loosely; {told['instruction_strict']:.1%} of single instructions"
        )
    for task, numbers in result.get("lm_eval", {}).items():
        values = [
            f"{n.split(',')[0]} {v:.4f}" for n, v in numbers.items() if isinstance(v, float) and "stderr" not in n
        ]
        lines.append(f"{task}: {', '.join(values)}")
    if labels := result.get("labels"):
        report, honest = labels["report"], labels["calibration"]
        scaled = honest["scaled"]["expected_error"]
        lines.append(
            f"labels ({report['count']} texts): accuracy {report['accuracy']:.1%}, "
            f"macro F1 {report['macro']['f1']:.3f}, calibration error {honest['expected_error']:.3f}, "
            f"or {scaled:.3f} when scaled by {honest['temperature']:.2f}"
        )
    return lines
