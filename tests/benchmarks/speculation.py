"""Reading ahead on repetitive text against plain decoding of the same tokens, and on text that does not repeat."""

from __future__ import annotations

import time

import torch

from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.files.model_folder import LoadedModel, load_fused
from engine.protocol import SamplingParams
from engine.run.device import choose, fast_bf16
from engine.run.generate_steps import new_cache, prefill
from engine.run.sampler import sample
from engine.run.speculate import Reader
from engine.run.traced import record
from tests.benchmarks.timing import rounds, table

MODEL = BUNDLED / DEFAULT_MODEL
NEW = 256  # tokens
# The bundled model goes on repeating it, whatever its precision; how many of its tokens were guessed is printed.
REPEATING = "The sun goes up, the sun goes down, and every day we walk to town. " * 8
OPEN = "Tell me a long story about a dog who went to sea."
GREEDY = SamplingParams(0.0, repetition_penalty=1.0)
LIVELY = SamplingParams(1.0, top_p=1.0, repetition_penalty=1.0)


def speed(loaded: LoadedModel, text: str, params: SamplingParams, *, ahead: bool) -> tuple[float, int]:
    """Tokens/s over `NEW` tokens behind `text`, an end token taken as any other, and how many were guessed."""
    ids = loaded.tokenizer.encode(text)
    cache = new_cache(loaded.model)
    logits, random = prefill(loaded.model, ids, cache), torch.Generator().manual_seed(1)
    reader, said = Reader(loaded.model, cache, list(ids), enabled=ahead), []
    began = time.perf_counter()
    while len(said) < NEW:
        assert logits is not None
        said.append(sample(logits, params, said, random))
        logits = reader.read(said[-1])
    return NEW / (time.perf_counter() - began), reader.accepted


def main() -> None:
    for precision in ("bf16" if fast_bf16("cpu") else "fp32", "int8"):
        loaded = load_fused(MODEL, choose("cpu", precision))
        record(loaded.model)
        for title, text, params in (("repetitive text", REPEATING, GREEDY), ("an open question", OPEN, LIVELY)):
            runs = {
                "reading ahead": lambda t=text, p=params, m=loaded: speed(m, t, p, ahead=True)[0],
                "plain decoding": lambda t=text, p=params, m=loaded: speed(m, t, p, ahead=False)[0],
            }
            results = rounds(runs, 5)
            guessed = speed(loaded, text, params, ahead=True)[1]
            title = f"{title}, homespun-v0 {precision}, {guessed} of {NEW} tokens guessed"
            table(title, "tokens/s", results, ours="reading ahead", more_is_better=True)
