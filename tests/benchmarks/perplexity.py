"""What each precision costs the bundled model in perplexity, on English it has not been trained on: these pages."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch
import torch.nn.functional as F

from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.decoder.kv_cache import KVCache
from engine.files.model_folder import load_fused
from engine.run.device import choose
from engine.run.fuse import Decoder
from engine.run.generate_steps import cache_dtype, decode

PRECISIONS = ("bf16", "int8", "int4")
PAGES, STEPWISE = 4_000, 1_000  # tokens read in pieces of 512, and of these one by one


@torch.inference_mode()
def main() -> None:
    """Reading and decoding use different kernels: both are measured."""
    pages = sorted(Path(__file__).parents[2].glob("**/README.md"))
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages if ".venv" not in page.parts)
    print("\nperplexity of the bundled model by precision, on this repository's pages")
    reference = None
    for precision in PRECISIONS:
        loaded = load_fused(BUNDLED / DEFAULT_MODEL, choose("cpu", precision))
        ids, total = loaded.tokenizer.encode(text)[:PAGES], 0.0
        for start in range(0, len(ids) - 1, 512):
            row = torch.tensor([ids[start : start + 513]])
            total += float(F.cross_entropy(loaded.model(row[:, :-1])[0].float(), row[0, 1:], reduction="sum"))
        value, stepwise = math.exp(total / (len(ids) - 1)), _stepwise(loaded.model, ids[:STEPWISE])
        reference = reference or (value, stepwise)
        change, change_stepwise = value / reference[0] - 1, stepwise / reference[1] - 1
        print(f"  {precision:6s} {value:8.2f} ({change:+.2%}); token by token {stepwise:8.2f} ({change_stepwise:+.2%})")


def _stepwise(model: Decoder, ids: list[int]) -> float:
    cache, total = KVCache(model.config, dtype=cache_dtype(model)), 0.0
    for token, following in itertools.pairwise(ids):
        total -= float(F.log_softmax(decode(model, token, cache).float(), -1)[following])
    return math.exp(total / (len(ids) - 1))
