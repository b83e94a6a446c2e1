"""EleutherAI's lm-evaluation-harness on our models: the extra `eval`.

On the command line it is `python -m training evaluate MODEL --lm-eval TASK`. In Python the harness knows the model as
"homespun" once this module is imported: `simple_evaluate(model="homespun", model_args={"path": "homespun-v0"}, …)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from engine.catalog import find
from engine.files.model_folder import LoadedModel, load_fused
from engine.protocol import SamplingParams
from engine.run.device import Placement, choose
from engine.run.generate_steps import decode, new_cache, prefill
from engine.run.sampler import sample
from engine.run.scoring import token_log_probabilities
from training.errors import TrainingError
from training.evaluation.likelihood import beginning
from training.export.ollama import written_chat

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ImportError as missing:
    raise TrainingError("The harness is not installed. Install it with: pip install 'homespun[eval]'") from missing

LONGEST = 256  # tokens of an answer whose task does not say


@register_model("homespun")
class HomespunLM(LM):
    """The harness's three questions, answered by one of our models."""

    def __init__(self, path: str = "", loaded: LoadedModel | None = None, device: str = "auto", **_: Any) -> None:
        """A model's name or path, or one that is loaded; whatever else the harness gives (batch_size) is not needed."""
        super().__init__()
        self.loaded = loaded or load_fused(find(path).path, choose(device))
        self.model, self.tokenizer = self.loaded.model, self.loaded.tokenizer
        self.context_length = self.model.config.context_length
        self._begin = beginning(self.tokenizer)
        names = {token: name for name, token in self.tokenizer.special_tokens.items()}
        self._begin_name = names.get(self._begin[0], "") if self._begin else ""

    @property
    def tokenizer_name(self) -> str:
        return self.loaded.name

    def chat_template(self, chat_template: bool | str = False) -> str:
        return self.loaded.template.source if chat_template and self.loaded.template is not None else ""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A chat as text; `_ids` knows the special tokens in it again.

        Raises:
            TrainingError: the model has no chat template.
        """
        if self.loaded.template is None:
            raise TrainingError(f"{self.loaded.name} is a base model and has no chat template.")
        return written_chat(self.loaded.template, chat_history, answer=add_generation_prompt)

    def _ids(self, text: str) -> list[int]:
        """Ids of `text`, in which special tokens' names are special: a task's texts are no person's typing."""
        return self.tokenizer.encode(text) if "<" not in text else self._special_ids(text)

    def _special_ids(self, text: str) -> list[int]:
        found = [(text.find(name), name) for name in self.tokenizer.special_tokens if name in text]
        if not found:
            return self.tokenizer.encode(text) if text else []
        at, name = min(found)
        rest = self._special_ids(text[at + len(name) :])
        return [*(self.tokenizer.encode(text[:at]) if at else []), self.tokenizer.special(name), *rest]

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of both. Spaces at the context's end belong to the continuation, and both are encoded as one text, so
        that no word is cut that the model knows whole. An empty context is what a text begins with."""
        stripped = context.rstrip()
        continuation, context = context[len(stripped) :] + continuation, stripped
        before = self._ids(context)
        whole = self._ids(context + continuation)
        behind = whole[len(before) :] or self._ids(continuation)
        before = before or self._begin or self._ids("\n")
        room = self.context_length - len(behind)
        if room < 1:
            raise TrainingError(f"A choice is longer than the model's context of {self.context_length} tokens.")
        return before[-room:], behind

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-probability in nats, whether greedy decoding would say it) of each continuation behind its context."""
        pairs = [self._pair(*request.args) for request in requests]
        answers: list[tuple[float, bool]] = []
        for context, group in groupby(
            tqdm(pairs, desc="loglikelihood", disable=disable_tqdm or None), key=lambda pair: pair[0]
        ):
            answers += self._scores(context, [behind for _, behind in group])
        return answers

    @torch.inference_mode()
    def _scores(self, context: Sequence[int], continuations: Sequence[list[int]]) -> list[tuple[float, bool]]:
        """As `engine.run.scoring.score_continuations`, with what greedy decoding says."""
        longest = len(context) + max(map(len, continuations))
        cache = new_cache(self.model, longest)
        first = prefill(self.model, list(context), cache)
        assert first is not None
        scores = []
        for tokens in continuations:
            rows = first[None]
            if len(tokens) > 1:
                more = self.model(torch.tensor([tokens[:-1]], device=self.model.device), cache)[0]
                rows = torch.cat((rows, more))
                cache.truncate(len(context))
            targets = torch.tensor(tokens, device=rows.device)
            picked = torch.log_softmax(rows.float(), -1).gather(1, targets[:, None])
            scores.append((float(picked.sum()), bool((rows.argmax(-1) == targets).all())))
        return scores

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of each whole text, in nats."""
        texts = tqdm(requests, desc="loglikelihood_rolling", disable=disable_tqdm or None)
        return [sum(token_log_probabilities(self.model, self._begin + self._ids(r.args[0]))) for r in texts]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Each context gone on with until one of its stop strings, the end of a turn, or so many tokens."""
        rows = tqdm(requests, desc="generate_until", disable=disable_tqdm or None)
        return [self._generate(context, options) for context, options in (request.args for request in rows)]

    def _generate(self, context: str, options: dict[str, Any]) -> str:
        until = options.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        count = int(options.get("max_gen_toks") or options.get("max_new_tokens") or LONGEST)
        count = min(count, self.context_length // 2)
        greedy = not options.get("do_sample", float(options.get("temperature") or 0) > 0)
        params = SamplingParams(
            temperature=0.0 if greedy else float(options.get("temperature", 1.0)),
            top_p=float(options.get("top_p", 1.0)),
            top_k=int(options.get("top_k") or 0),
            repetition_penalty=1.0,
        )
        prompt = (self._ids(context) or self._begin)[-(self.context_length - count) :]
        cache = new_cache(self.model, len(prompt) + count)
        logits, said, random = prefill(self.model, prompt, cache), list[int](), torch.Generator().manual_seed(0)
        while logits is not None and len(said) < count:
            token = sample(logits, params, said, random)
            if token in self.loaded.end_tokens:
                break
            said.append(token)
            text = self.tokenizer.decode(said)
            if any(stop in text for stop in stops if stop):
                return text[: min(text.find(stop) for stop in stops if stop and stop in text)]
            logits = decode(self.model, token, cache)
        return self.tokenizer.decode(said)


def run_harness(
    source: Path, tasks: list[str], place: Placement, limit: int = 0, include_path: Path | None = None
) -> dict[str, Any]:
    """The harness's results by task; tasks of the harness's own download their data when they are asked for.

    Raises:
        TrainingError: there is no such task, or its data cannot be had.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(include_path) if include_path else None)
    if unknown := [task for task in tasks if not manager.match_tasks([task])]:
        raise TrainingError(f"The harness has no task {unknown[0]!r}.")
    model = HomespunLM(loaded=load_fused(source, place))
    try:
        result = lm_eval.simple_evaluate(
            model=model, tasks=tasks, limit=limit or None, task_manager=manager, log_samples=False, bootstrap_iters=1000
        )
    except (OSError, ValueError) as error:  # no network, mostly; with the library's own words
        raise TrainingError(f"The harness could not run {', '.join(tasks)}: {str(error).splitlines()[0]}") from error
    assert result is not None
    return {name: _plain(row) for name, row in result["results"].items()}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if isinstance(value, int | float | str)}
