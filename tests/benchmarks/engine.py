"""Decode and prefill in every precision against transformers and llama.cpp.

GPT-2's 124M shape (random weights: speed does not depend on them) and the bundled model. llama.cpp takes part where
llama-cpp-python is installed: pip install '.[bench]' compiles it.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from engine.catalog import BUNDLED, DEFAULT_MODEL, read_json
from engine.files.architectures import find_architecture, from_hugging_face
from engine.files.stored import read_weights
from engine.files.weights import fill_fused
from engine.run.device import PRECISIONS as DTYPES
from engine.run.device import choose, fast_bf16
from engine.run.fuse import FusedGPT
from engine.run.generate_steps import decode, new_cache, prefill
from engine.run.linear import Precision
from engine.run.traced import record
from tests.benchmarks.timing import rounds, table
from tests.engine.gguf_writing import write_gguf

SHORT, LONG, PREFILL = 64, 900, 512  # tokens before, and read
NEW = {SHORT: 256, LONG: 100}  # tokens decoded behind them: GPT-2's context ends at 1,024
NATIVE = fast_bf16("cpu")
PEER: Precision = "bf16" if NATIVE else "fp32"  # transformers' quicker one of these
PRECISIONS: tuple[Precision, ...] = ("bf16", "int8", "int4")
FTYPES = {"BF16": 32} if NATIVE else {"F16": 1}  # llama.cpp's numbers of its file types
FTYPES |= {"Q8_0": 7, "Q4_0": 2}
Speeds = dict[str, Callable[[], float]]


def tokens(count: int) -> list[int]:
    return torch.randint(0, 8000, (count,), generator=torch.Generator().manual_seed(count)).tolist()


class Ours:
    def __init__(self, folder: Path, precision: str) -> None:
        place, data = choose("cpu", precision), read_json(folder / "config.json")
        weights = find_architecture(data).rename(read_weights(folder))
        self.model: FusedGPT = fill_fused(from_hugging_face(data), weights, place.device, place.dtype, place.precision)
        record(self.model)

    def prefill(self, count: int) -> float:
        return self._run(count, 0)[0]

    def decode(self, context: int) -> float:
        return self._run(context, NEW[context])[1]

    def _run(self, context: int, new: int) -> tuple[float, float]:
        cache = new_cache(self.model)
        began = time.perf_counter()
        logits = prefill(self.model, tokens(context), cache)
        assert logits is not None
        token, read = int(logits.argmax()), time.perf_counter()
        for _ in range(new):
            token = int(decode(self.model, token, cache).argmax())
        return context / (read - began), new / (time.perf_counter() - read)


class Transformers:
    """transformers' model unrounded with its own cache, called directly: without what `generate` adds around it."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[PEER]).eval()

    @torch.inference_mode()
    def prefill(self, count: int) -> float:
        began = time.perf_counter()
        self.model(torch.tensor([tokens(count)]), use_cache=True, logits_to_keep=1)
        return count / (time.perf_counter() - began)

    @torch.inference_mode()
    def decode(self, context: int) -> float:
        out = self.model(torch.tensor([tokens(context)]), use_cache=True, logits_to_keep=1)
        began = time.perf_counter()
        for _ in range(NEW[context]):
            token = out.logits[:, -1:].argmax(-1)
            out = self.model(token, past_key_values=out.past_key_values, use_cache=True)
        return NEW[context] / (time.perf_counter() - began)


class LlamaCpp:
    def __init__(self, file: Path) -> None:
        import llama_cpp

        threads = torch.get_num_threads()
        self.model = llama_cpp.Llama(
            str(file), n_ctx=1024, n_threads=threads, n_threads_batch=threads, n_batch=PREFILL, verbose=False
        )

    def prefill(self, count: int) -> float:
        self.model.reset()
        began = time.perf_counter()
        self.model.eval(tokens(count))
        return count / (time.perf_counter() - began)

    def decode(self, context: int) -> float:
        self.model.reset()
        self.model.eval(tokens(context))
        began = time.perf_counter()
        for token in tokens(NEW[context]):
            self.model.eval([token])
        return NEW[context] / (time.perf_counter() - began)


def gguf_files(folder: Path, architecture: str) -> dict[str, Path]:
    """The model in `folder` as llama.cpp's files, quantized by itself; none where it is not installed."""
    try:
        import llama_cpp
    except ImportError:
        print("(llama-cpp-python is not installed, so llama.cpp does not take part)")
        return {}
    peer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    vocabulary = {"tokenizer.ggml.model": "no_vocab", f"{architecture}.vocab_size": peer.config.vocab_size}
    whole = write_gguf(folder / "f32.gguf", peer, architecture, metadata=vocabulary)
    files = {}
    for name, ftype in FTYPES.items():
        params = llama_cpp.llama_model_quantize_default_params()
        params.ftype = ftype
        files[name] = folder / f"{name}.gguf"
        llama_cpp.llama_model_quantize(str(whole).encode(), str(files[name]).encode(), params)
    return files


def quiet() -> None:
    """Keep the peers' progress and warnings off the tables."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    with contextlib.suppress(ImportError):
        import llama_cpp

        global _log  # llama.cpp calls it for as long as it lives
        _log = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(_log, None)


def compare(title: str, folder: Path, architecture: str) -> None:
    """All contenders in turn, for each axis."""
    contenders: dict[str, Any] = {f"homespun {precision}": Ours(folder, precision) for precision in PRECISIONS}
    contenders[f"transformers {PEER}"] = Transformers(folder)
    for name, file in gguf_files(folder, architecture).items():
        contenders[f"llama.cpp {name}"] = LlamaCpp(file)
    axes: dict[str, Callable[[Any], float]] = {
        f"decoding after {SHORT} tokens, {title}": lambda one: one.decode(SHORT),
        f"decoding after {LONG} tokens, {title}": lambda one: one.decode(LONG),
        f"reading {PREFILL} tokens, {title}": lambda one: one.prefill(PREFILL),
    }
    # All axes in the same rounds: a shared machine's speed changes within minutes, and ratios of axes are told, too.
    runs = {
        (axis, name): (lambda one=one, run=run: run(one))
        for name, one in contenders.items()
        for axis, run in axes.items()
    }
    measured = rounds(runs, 5)
    rivals = {"bf16": "BF16" if NATIVE else "F16", "int8": "Q8_0", "int4": "Q4_0"}
    for axis in axes:
        for precision in PRECISIONS:
            ours = f"homespun {precision}"
            against = (ours, f"transformers {PEER}", f"llama.cpp {rivals[precision]}")
            chosen = {name: measured[axis, name] for name in against if name in contenders}
            table(f"{axis}, {precision}", "tokens/s", chosen, ours=ours, more_is_better=True)
    short, long, _ = axes
    print(f"\nwhat {LONG} tokens before leave of the speed after {SHORT}, {title}")
    for name in contenders:
        print(f"  {name:44s} {measured[long, name].median / measured[short, name].median:.2f}")


def main() -> None:
    quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config()).to(torch.bfloat16).save_pretrained(folder)
        compare("GPT-2 124M", folder, "gpt2")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        AutoModelForCausalLM.from_pretrained(BUNDLED / DEFAULT_MODEL, dtype=torch.bfloat16).save_pretrained(folder)
        compare("homespun-v0", folder, "qwen3")
