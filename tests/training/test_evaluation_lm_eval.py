"""The harness on our models, with small local tasks of all its three kinds of questions; nothing is downloaded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.catalog import BUNDLED
from engine.files.model_folder import load
from engine.run.device import choose
from training.errors import TrainingError
from training.evaluation.choices import read_questions

pytest.importorskip("lm_eval", reason="comes with the extra eval")

from training.evaluation.lm_eval_adapter import HomespunLM, run_harness

HOMESPUN = BUNDLED / "homespun-v0"
CHOICES = """
task: tiny_choices
dataset_path: json
dataset_kwargs: { data_files: { test: "FILE" } }
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list: [{ metric: acc }, { metric: acc_norm }]
"""
ROLLING = """
task: tiny_rolling
dataset_path: json
dataset_kwargs: { data_files: { test: "FILE" } }
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list: [{ metric: bits_per_byte }, { metric: byte_perplexity }]
"""
UNTIL = """
task: tiny_until
dataset_path: json
dataset_kwargs: { data_files: { test: "FILE" } }
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: { until: ["\\n"], max_gen_toks: 8 }
metric_list: [{ metric: exact_match }]
"""


def ask(*arguments: Any) -> Any:
    return SimpleNamespace(args=arguments)


@pytest.fixture(scope="module")
def model() -> HomespunLM:
    return HomespunLM(loaded=load(HOMESPUN))


def test_the_harness_runs_local_tasks_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    questions, _ = read_questions()
    rows = [{"question": q.question, "choices": list(q.choices), "answer": q.answer} for q in questions[:8]]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("c", CHOICES), ("r", ROLLING), ("u", UNTIL)):
        (tmp_path / f"{name}.yaml").write_text(text.replace("FILE", str(data)))
    tasks = ["tiny_choices", "tiny_rolling", "tiny_until"]
    made = run_harness(HOMESPUN, tasks, choose("cpu", "fp32"), limit=6, include_path=tmp_path)
    assert set(made) == set(tasks)
    assert 0 <= made["tiny_choices"]["acc,none"] <= 1
    assert made["tiny_until"]["exact_match,none"] < 1
    ours = HomespunLM(loaded=load(HOMESPUN))
    texts = [row["question"] for row in rows[:6]]
    bits = -sum(ours.loglikelihood_rolling([ask(text) for text in texts])) / math.log(2)
    expected = bits / sum(len(text.encode()) for text in texts)
    assert made["tiny_rolling"]["bits_per_byte,none"] == pytest.approx(expected, rel=1e-3)
    with pytest.raises(TrainingError, match="no task 'nothing_such'"):
        run_harness(HOMESPUN, ["nothing_such"], choose("cpu", "fp32"))


def test_likelihoods_are_those_of_the_whole_text(model: HomespunLM) -> None:
    """Spaces at a context's end belong to the continuation; the two are encoded as one text."""
    (spaced, _), (inside, _) = model.loglikelihood(
        [ask("The capital of France is ", "Paris"), ask("The capital of France is", " Paris")]
    )
    assert spaced == pytest.approx(inside)
    before, whole = (model.tokenizer.encode(t) for t in ("The capital of France is", "The capital of France is Paris"))
    with torch.no_grad():
        scores = torch.log_softmax(model.model(torch.tensor([whole]))[0].float(), -1)
    expected = sum(float(scores[i - 1, whole[i]]) for i in range(len(before), len(whole)))
    assert inside == pytest.approx(expected, abs=1e-3)


def test_greedy_is_what_generation_says(model: HomespunLM) -> None:
    prompt = model.apply_chat_template([{"role": "user", "content": "Who are you?"}])
    assert prompt.endswith("<|im_start|>assistant\n")
    (said,) = model.generate_until([ask(prompt, {"until": ["."], "max_gen_toks": 40})])
    assert said == "I'm Homespun"
    (_, greedy), (_, other) = model.loglikelihood([ask(prompt, said), ask(prompt, "Bananas")])
    assert greedy
    assert not other


def test_empty_contexts_long_ones_and_too_long_choices(model: HomespunLM) -> None:
    (empty, _), (long, _) = model.loglikelihood([ask("", "Hello"), ask("word " * 3000, "and")])
    assert empty < 0
    assert long < 0
    with pytest.raises(TrainingError, match="longer than the model's context"):
        model.loglikelihood([ask("a", "word " * 3000)])


def test_the_harness_knows_it_by_name() -> None:
    from lm_eval.api.registry import get_model

    assert get_model("homespun") is HomespunLM
    assert HomespunLM(path="homespun-v0", device="cpu", batch_size=1).tokenizer_name == "homespun-v0"
