"""What each precision costs the bundled model in perplexity, on English it has not been trained on.

`held_out.txt` is talk like what it was trained on; this repository's pages are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.files.model_folder import load_fused
from engine.run.device import choose
from engine.run.fuse import Decoder
from engine.run.generate_steps import decode, new_cache, read_few

PRECISIONS = ("bf16", "int8", "int4")
READ, STEPWISE = 6_000, 1_500  # tokens read in pieces of 512, and of these one by one


def main() -> None:
    here = Path(__file__).parent
    pages = (page for page in sorted(here.parents[1].glob("**/README.md")) if ".venv" not in page.parts)
    compare("talk held out", [here / "held_out.txt"])
    compare("this repository's pages", pages)


@torch.inference_mode()
def compare(title: str, files: Iterable[Path]) -> None:
    """Reading and decoding use different kernels: both are measured. ± is the change's standard error."""
    print(f"\nperplexity of the bundled model by precision, on {title}")
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    reference: list[Tensor] = []
    for precision in PRECISIONS:
        loaded = load_fused(BUNDLED / DEFAULT_MODEL, choose("cpu", precision))
        ids = loaded.tokenizer.encode(text)[:READ]
        surprise = [_reading(loaded.model, ids), _stepwise(loaded.model, ids[:STEPWISE])]
        reference = reference or surprise
        reading, stepwise = (_against(*pair) for pair in zip(surprise, reference, strict=True))
        print(f"  {precision:6s} {reading}; token by token {stepwise}")


def _against(surprise: Tensor, reference: Tensor) -> str:
    """Perplexity, and how much more it is than the reference's; both are nats for each token [T]."""
    more = surprise - reference
    error = float(more.std()) / math.sqrt(len(more))
    return f"{math.exp(float(surprise.mean())):8.2f} ({math.expm1(float(more.mean())):+.2%} ± {error:.2%})"


def _reading(model: Decoder, ids: list[int]) -> Tensor:
    pieces = []
    for start in range(0, len(ids) - 1, 512):
        row, cache = ids[start : start + 513], new_cache(model)
        logits = [read_few(model, row[:-1][half : half + 256], cache).float() for half in range(0, len(row) - 1, 256)]
        pieces.append(F.cross_entropy(torch.cat(logits), torch.tensor(row[1:]), reduction="none"))
    return torch.cat(pieces)


def _stepwise(model: Decoder, ids: list[int]) -> Tensor:
    """The same one by one, beginning anew where the context ends."""
    cache, surprise = new_cache(model), []
    for token, following in itertools.pairwise(ids):
        if cache.length == cache.capacity:
            cache.truncate(0)
        surprise.append(-F.log_softmax(decode(model, token, cache).float(), -1)[following])
    return torch.stack(surprise)
