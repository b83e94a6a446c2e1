"""GGUF files, as Ollama, LM Studio and llama.cpp keep models: metadata → `GPTConfig`, tensors → our names.

Read through the `gguf` package, which knows the layout and the block formats. Tokenizer and chat template are made
from the same metadata by `tokenizer.py` and `chat_template.py`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.decoder.config import GPTConfig
from engine.errors import ModelFolderError
from engine.files.stored import Stored

# The block formats this engine promises; the package dequantizes them exactly as llama.cpp does.
FORMATS = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K")
TOP = {"token_embd": "embedding", "position_embd": "positions", "output_norm": "norm", "output": "head"}
LAYER = {
    "attn_norm": "attention_norm",
    "attn_q": "attention.q",
    "attn_k": "attention.k",
    "attn_v": "attention.v",
    "attn_output": "attention.out",
    "attn_q_norm": "attention.q_norm",
    "attn_k_norm": "attention.k_norm",
    "post_attention_norm": "attention_post_norm",
    "ffn_norm": "mlp_norm",
    "ffn_gate": "mlp.gate",
    "ffn_up": "mlp.up",
    "ffn_down": "mlp.down",
    "post_ffw_norm": "mlp_post_norm",
}
Metadata = dict[str, Any]


class GGUFFile:
    """An open, memory-mapped GGUF file.

    Raises:
        ModelFolderError: no GGUF file, a damaged one, or one that claims what it does not hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        from gguf import GGUFReader  # here, because it costs a tenth of a second that others need not pay

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's, on sizes that overflow: they end in an error below
                self._reader = GGUFReader(path)
                self.metadata: Metadata = {
                    name: entry.contents()
                    for name, entry in self._reader.fields.items()
                    if not name.startswith("GGUF.")
                }
        except Exception as error:
            raise ModelFolderError(
                f"{path} cannot be read as a GGUF file: it is missing, cut short or damaged ({_short(error)})."
            ) from error
        self.config = self._config()

    def tensors(self) -> dict[str, Stored]:
        """Every tensor under our name; unknown names stay as they are and are reported when the decoder is filled.

        Raises:
            ModelFolderError: a tensor in a block format that is not supported.
        """
        state: dict[str, Stored] = {}
        interleaved = self.metadata["general.architecture"] == "llama"
        heads = {"attn_q": self.config.n_head, "attn_k": self.config.n_kv_head}
        for tensor in self._reader.tensors:
            module, _, kind = tensor.name.rpartition(".")
            if module == "rope_freqs":
                continue  # already in the config
            stored = _stored(self.path, tensor)
            layer = re.fullmatch(r"blk\.(\d+)\.(.+)", module)
            if layer is None:
                state[f"{TOP.get(module, module)}.{kind}"] = stored
            elif layer[2] == "attn_qkv":
                for index, part in enumerate("qkv"):
                    state[f"blocks.{layer[1]}.attention.{part}.{kind}"] = stored.part(index, 3)
            else:
                if interleaved and layer[2] in heads:
                    stored = _halves(stored, heads[layer[2]])
                state[f"blocks.{layer[1]}.{LAYER.get(layer[2], layer[2])}.{kind}"] = stored
        return state

    def _config(self) -> GPTConfig:
        """The config that the metadata describe; biases and tying are seen from the tensors."""
        name = self.metadata.get("general.architecture")
        if name not in CONFIGS:
            raise ModelFolderError(
                f"This engine cannot open GGUF files of architecture {name!r}; it knows {', '.join(sorted(CONFIGS))}."
            )
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in self.metadata.items() if k.startswith(prefix)}
        shapes = {t.name: tuple(int(n) for n in reversed(t.shape.tolist())) for t in self._reader.tensors}
        try:
            return CONFIGS[name](own, shapes, self._rope_divisors())
        except (KeyError, TypeError, ValueError, ArithmeticError, IndexError) as error:
            what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise ModelFolderError(f"The GGUF file {self.path} does not describe a model: {what}.") from error

    def _rope_divisors(self) -> tuple[float, ...]:
        for tensor in self._reader.tensors:
            if tensor.name == "rope_freqs.weight":
                return tuple(float(x) for x in _stored(self.path, tensor).read())
        return ()


def _stored(path: Path, tensor: Any) -> Stored:
    """A tensor of the file, dequantized when it is read: F16 and BF16 stay as they are, blocks become fp32."""
    from gguf import dequantize

    name = tensor.tensor_type.name
    if name not in FORMATS:
        raise ModelFolderError(
            f"{path} holds {tensor.name} as {name}, which this engine cannot read; it knows {', '.join(FORMATS)}."
        )
    shape = tuple(int(n) for n in reversed(tensor.shape.tolist()))

    def numbers(data: np.ndarray) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, on memory it may not write: nobody does
            if name in ("F32", "F16"):
                return torch.from_numpy(data)
            if name == "BF16":
                return torch.from_numpy(data.view(np.int16)).view(torch.bfloat16)
            return torch.from_numpy(dequantize(np.ascontiguousarray(data), tensor.tensor_type))

    def rows(ids: Tensor) -> Tensor:
        picked = numbers(np.ascontiguousarray(tensor.data[ids.reshape(-1).numpy()]))
        return picked.reshape(*ids.shape, shape[-1])

    return Stored(shape, lambda: numbers(tensor.data).reshape(shape), rows if len(shape) == 2 else None)


def _halves(stored: Stored, heads: int) -> Stored:
    """llama.cpp turns neighbouring pairs where we turn (i, i + D/2): put a head's even rows first, then the odd."""

    def read() -> Tensor:
        tensor = stored.read()
        pairs = tensor.view(heads, -1, 2, *tensor.shape[1:])
        return pairs.transpose(1, 2).reshape(tensor.shape)

    return Stored(stored.shape, read)


Shapes = Mapping[str, tuple[int, ...]]


def _gpt2(own: Metadata, shapes: Shapes, divisors: tuple[float, ...]) -> GPTConfig:
    d_model, n_head = int(own["embedding_length"]), int(own["attention.head_count"])
    return GPTConfig(
        vocab_size=shapes["token_embd.weight"][0],
        context_length=int(own["context_length"]),
        n_layer=int(own["block_count"]),
        n_head=n_head,
        n_kv_head=n_head,
        head_dim=d_model // n_head,
        d_model=d_model,
        d_ff=int(own["feed_forward_length"]),
        norm="layer",
        norm_eps=float(own["attention.layer_norm_epsilon"]),
        mlp="gelu",
        position="learned",
        qk_norm=False,
        attention_bias=True,
        output_bias=True,
        mlp_bias=True,
        tie_embeddings="output.weight" not in shapes,
    )


def _llama(own: Metadata, shapes: Shapes, divisors: tuple[float, ...], **traits: Any) -> GPTConfig:
    """Llama and its relatives; `traits` are what one of them does differently."""
    if own.get("expert_count"):
        raise ValueError("it is a mixture of experts, which this engine does not run")
    d_model, n_head = int(own["embedding_length"]), int(own["attention.head_count"])
    head_dim = int(own.get("attention.key_length") or own.get("rope.dimension_count") or d_model // n_head)
    kind, factor = own.get("rope.scaling.type", "none"), float(own.get("rope.scaling.factor") or 1.0)
    if kind not in ("none", "linear"):
        raise ValueError(f"RoPE scaling of kind {kind!r} is not known here")
    if kind == "linear" and factor != 1.0:
        divisors = (factor,) * (head_dim // 2)
    common: dict[str, Any] = {
        "vocab_size": shapes["token_embd.weight"][0],
        "context_length": int(own["context_length"]),
        "n_layer": int(own["block_count"]),
        "n_head": n_head,
        "n_kv_head": int(own.get("attention.head_count_kv") or n_head),
        "head_dim": head_dim,
        "d_model": d_model,
        "d_ff": int(own["feed_forward_length"]),
        "norm_eps": float(own["attention.layer_norm_rms_epsilon"]),
        "rope_theta": float(own.get("rope.freq_base") or 10_000.0),
        "rope_divisors": divisors,
        "qk_norm": "blk.0.attn_q_norm.weight" in shapes,
        "attention_bias": "blk.0.attn_q.bias" in shapes,
        "output_bias": "blk.0.attn_output.bias" in shapes,
        "mlp_bias": "blk.0.ffn_up.bias" in shapes,
        "tie_embeddings": "output.weight" not in shapes,
    }
    return GPTConfig(**(common | _window(own) | traits))


def _window(own: Metadata) -> dict[str, Any]:
    window = own.get("attention.sliding_window")
    return {"window": int(window), "local_layers": (True,) * int(own["block_count"])} if window else {}


def _gemma3(own: Metadata, shapes: Shapes, divisors: tuple[float, ...]) -> GPTConfig:
    layers, every = int(own["block_count"]), 6  # five local layers, then a global one
    if own.get("final_logit_softcapping"):
        raise ValueError("it caps its logits, which this engine does not")
    window = int(own.get("attention.sliding_window") or 0)
    # Only the 27B model, of 62 layers, scales by the width of its heads taken from the stream's.
    scale = float(own["embedding_length"]) / float(own["attention.head_count"]) if layers == 62 else 0.0
    return _llama(
        own,
        shapes,
        divisors,
        mlp="geglu",
        post_norms=True,
        rope_theta=float(own.get("rope.freq_base") or 1_000_000.0),
        local_rope_theta=float(own.get("rope.freq_base_swa") or 10_000.0),
        attention_scale=scale**-0.5 if scale else 0.0,
        embedding_scale=math.sqrt(float(own["embedding_length"])),
        window=window,
        local_layers=tuple((layer + 1) % every != 0 for layer in range(layers)) if window else (),
    )


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


CONFIGS: dict[str, Callable[[Metadata, Shapes, tuple[float, ...]], GPTConfig]] = {
    "gpt2": _gpt2,
    "llama": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "gemma3": _gemma3,
}
