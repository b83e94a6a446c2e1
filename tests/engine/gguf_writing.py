"""Writes transformers' models as GGUF files, the way llama.cpp's converter does, for tests of reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

QUANTS = gguf.GGMLQuantizationType
LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
TOP = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
}


def write_gguf(
    path: Path, peer: Any, architecture: str, quant: Any = QUANTS.F32, metadata: dict[str, Any] | None = None
) -> Path:
    """`peer` as a GGUF file; matrices in block format `quant`, everything else in F32."""
    writer = gguf.GGUFWriter(path, architecture)
    _describe(writer, peer.config, architecture)
    for key, value in (metadata or {}).items():
        writer.add_key_value(key, value, *_types(value))
    tied = architecture == "gpt2" or peer.config.tie_word_embeddings
    for name, tensor in peer.state_dict().items():
        if name.startswith("lm_head") and tied:
            continue
        renamed, tensor = _rename(name, architecture), _lay_out(name, tensor.float(), peer.config, architecture)
        data = np.ascontiguousarray(tensor.numpy())
        kind = quant if tensor.dim() == 2 and "position" not in renamed else QUANTS.F32
        if kind == QUANTS.F32:
            writer.add_tensor(renamed, data)
        elif kind == QUANTS.F16:
            writer.add_tensor(renamed, data.astype(np.float16))
        else:
            writer.add_tensor(renamed, gguf.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, config: Any, architecture: str) -> None:
    get = config.to_dict().get
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if architecture == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = get("head_dim") or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if get("sliding_window"):
        writer.add_sliding_window(config.sliding_window)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_factors(config).numpy())


def _llama3_factors(config: Any) -> Tensor:
    """What llama.cpp divides each frequency by, from transformers' own numbers."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    head_dim = config.head_dim
    plain = config.rope_parameters["rope_theta"] ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    return plain / scaled


def _rename(name: str, architecture: str) -> str:
    module, _, kind = name.rpartition(".")
    parts = module.split(".")
    if parts[1:2] in (["layers"], ["h"]):
        names = LAYER | GEMMA if architecture == "gemma3" else LAYER
        return f"blk.{parts[2]}.{names['.'.join(parts[3:])]}.{kind}"
    return f"{TOP[module]}.{kind}"


def _lay_out(name: str, tensor: Tensor, config: Any, architecture: str) -> Tensor:
    """What the converter changes besides names."""
    if architecture == "gpt2" and ".c_" in name and tensor.dim() == 2:
        return tensor.t()
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return tensor + 1
    if architecture == "llama" and (".q_proj." in name or ".k_proj." in name):
        heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
        return tensor.reshape(heads, 2, -1, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)
    return tensor


def _types(value: Any) -> tuple[Any, ...]:
    """The value type (and, of an array, its elements' type) that `value` is written as."""
    kinds = {str: "STRING", bool: "BOOL", int: "INT32", float: "FLOAT32"}
    if isinstance(value, list):
        return gguf.GGUFValueType.ARRAY, gguf.GGUFValueType[kinds[type(value[0])]]
    return (gguf.GGUFValueType["UINT32" if type(value) is int else kinds[type(value)]],)
