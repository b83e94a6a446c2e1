"""Decode and prefill of the bundled model against transformers' `generate` on the same weights, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.decoder.model import GPT
from engine.files.model_folder import load_fused
from engine.run.device import choose
from engine.run.generate_steps import decode, new_cache, prefill
from engine.run.traced import record
from tests.benchmarks.timing import rounds, table

MODEL = BUNDLED / DEFAULT_MODEL
PROMPT, NEW = 256, 128  # tokens


def ours(model: GPT, tokens: list[int]) -> tuple[float, float]:
    """(prefill, decode) in tokens/s; greedy, as transformers does below."""
    cache = new_cache(model)
    began = time.perf_counter()
    token = int(prefill(model, tokens, cache).argmax())
    read = time.perf_counter()
    for _ in range(NEW):
        token = int(decode(model, token, cache).argmax())
    return len(tokens) / (read - began), NEW / (time.perf_counter() - read)


@torch.inference_mode()
def theirs(model: Any, tokens: list[int]) -> tuple[float, float]:
    """The same of transformers: `generate` for one new token is its prefill, the rest of a longer run its decoding."""

    def run(count: int) -> float:
        began = time.perf_counter()
        ids = torch.tensor([tokens])
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
        )
        return time.perf_counter() - began

    first = run(1)
    return len(tokens) / first, NEW / (run(NEW + 1) - first)


def main() -> None:
    tokens = torch.randint(0, 8000, (PROMPT,), generator=torch.Generator().manual_seed(0)).tolist()
    runs: dict[str, Callable[[], tuple[float, float]]] = {}
    for precision in ("auto", "bf16"):
        place = choose("cpu", precision)
        model = load_fused(MODEL, place).model
        record(model)
        runs[f"homespun {place.note}"] = lambda model=model: ours(model, tokens)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        peer = AutoModelForCausalLM.from_pretrained(MODEL, dtype=dtype).eval()
        runs[f"transformers {name}"] = lambda peer=peer: theirs(peer, tokens)
    for index, title in enumerate((f"prefill of {PROMPT} tokens", f"decoding of {NEW} tokens")):
        results = rounds({name: (lambda run=run, index=index: run()[index]) for name, run in runs.items()}, 5)
        table(title, "tokens/s", results, ours=next(iter(runs)), more_is_better=True)
