"""A model as one GGUF file, which llama.cpp, Ollama and LM Studio open (and this engine).

Owns the tensors: their names, order of rows and block formats. The vocabulary is `gguf_vocabulary.py`, the keys that
describe the shape are `gguf_keys.py`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.catalog import base_of, is_adapter, read_json
from engine.decoder.config import GPTConfig
from engine.files.gguf_file import LAYER, TOP
from engine.files.model_folder import OpenedModel, open_model
from engine.files.stored import Stored
from engine.files.weights import check
from training.export.disk import check_space, whole_file
from training.export.families import LAYER as OUR_LAYER
from training.export.families import ExportError, Family, family_of, join_qkv
from training.export.gguf_keys import describe, rope_factors
from training.export.gguf_vocabulary import vocabulary_keys

TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}
BLOCK = 32  # numbers of a row that Q8_0 keeps together
LARGEST_F16 = 65504.0


@dataclass(frozen=True)
class Plan:
    """One tensor of the file."""

    name: str
    stored: Stored
    kind: Any  # gguf's GGMLQuantizationType

    @property
    def bytes_shape(self) -> tuple[int, ...]:
        """As the writer wants it: a row's bytes in place of its numbers."""
        from gguf import quant_shape_to_byte_shape

        return tuple(quant_shape_to_byte_shape(self.stored.shape, self.kind))

    @property
    def size(self) -> int:
        return math.prod(self.bytes_shape)


def export_gguf(source: Path, out: Path, kind: str = "f16") -> list[str]:
    """Write the model at `source` (a folder; an adapter is merged into its base) as file `out`, its matrices in `kind`.

    Returns:
        Sentences about what is not as one would expect, for the person at the screen.

    Raises:
        ExportError: `kind` is unknown, llama.cpp has no such shape or vocabulary, or the disk is too small.
        ModelFolderError: the model cannot be opened.
    """
    import gguf

    if kind not in TYPES:
        raise ExportError(f"GGUF's precisions known here are {', '.join(TYPES)}, not {kind}.")
    if out.suffix != ".gguf":
        raise ExportError(f"A GGUF file's name ends in .gguf, and {out.name} does not.")
    opened = open_model(source)
    folder = base_of(source) if is_adapter(source) else source
    if (folder / "config.json").is_file() and read_json(folder / "config.json").get("task", "chat") != "chat":
        raise ExportError("Only decoders that write text can be GGUF files; this model has another task.")
    check(opened.config, opened.weights)
    family = family_of(opened.config)
    notes: list[str] = []
    plans = plan(opened, family, TYPES[kind], notes)
    metadata = describe(opened.config, family, notes)
    metadata |= vocabulary_keys(folder, opened, notes) | _general(source, folder, opened, TYPES[kind])
    check_space(out.parent, sum(p.size for p in plans))
    logging.getLogger("gguf").setLevel(logging.ERROR)
    with whole_file(out) as temporary:
        writer = gguf.GGUFWriter(temporary, family.gguf)
        for key, value in metadata.items():
            writer.add_key_value(key, value, *value_types(value))
        for p in plans:
            writer.add_tensor_info(p.name, p.bytes_shape, np.dtype(np.uint8), p.size, p.kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for p in plans:  # one tensor in memory at a time
            writer.write_tensor_data(encoded(p))
        writer.close()
    return notes


def plan(opened: OpenedModel, family: Family, kind: str, notes: list[str]) -> list[Plan]:
    """Every tensor with its llama.cpp name: matrices in `kind`, vectors and positions in F32, as usual."""
    from gguf import GGMLQuantizationType as Kinds

    weights: Mapping[str, Stored] = opened.weights
    if family.gguf == "gpt2":
        weights = join_qkv(weights)
    names = {ours: theirs for theirs, ours in LAYER.items()} | {"attention.qkv": "attn_qkv"}
    top = {ours: theirs for theirs, ours in TOP.items()}
    plans, ragged = [], []
    for name, stored in weights.items():
        module, _, suffix = name.rpartition(".")
        layer = OUR_LAYER.fullmatch(module)
        renamed = f"blk.{layer[1]}.{names[layer[2]]}" if layer else top[module]
        if family.gguf == "llama" and layer and layer[2] in ("attention.q", "attention.k"):
            stored = _pairs(stored, opened.config, layer[2])
        chosen = kind if len(stored.shape) == 2 and module != "positions" else "F32"
        if chosen == "Q8_0" and stored.shape[-1] % BLOCK:
            chosen = "F16"
            ragged.append(renamed)
        plans.append(Plan(f"{renamed}.{suffix}", stored, Kinds[chosen]))
    if (factors := rope_factors(opened.config)) is not None:
        numbers = torch.tensor(factors, dtype=torch.float32)
        plans.append(Plan("rope_freqs.weight", Stored(tuple(numbers.shape), lambda: numbers), Kinds.F32))
    if ragged:
        notes.append(f"{len(ragged)} matrices are F16: their rows are no multiple of {BLOCK}, which Q8_0 needs.")
    return plans


def _pairs(stored: Stored, config: GPTConfig, module: str) -> Stored:
    """llama.cpp turns neighbouring pairs where we turn (i, i + D/2): a head's first and second half take turns."""
    heads = config.n_head if module.endswith("q") else config.n_kv_head

    def read() -> torch.Tensor:
        tensor = stored.read()
        halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])
        return halves.transpose(1, 2).reshape(tensor.shape)

    return Stored(stored.shape, read)


def encoded(p: Plan) -> np.ndarray:
    """The tensor's numbers as they stand in the file.

    Raises:
        ExportError: a number is too large for F16.
    """
    from gguf import quantize

    numbers = p.stored.read().float().contiguous()
    if p.kind.name == "F16" and numbers.abs().max() > LARGEST_F16:
        raise ExportError(f"{p.name} has numbers too large for f16; choose --type bf16 or f32.")
    array: np.ndarray = quantize(numbers.numpy(), p.kind)
    return array


def _general(source: Path, folder: Path, opened: OpenedModel, kind: str) -> dict[str, Any]:
    from gguf import GGUF_DEFAULT_ALIGNMENT, LlamaFileType

    training = read_json(source / "training.json") if (source / "training.json").is_file() else {}
    name = str(training.get("name") or source.stem)
    data: dict[str, Any] = {"general.type": "model", "general.name": name}
    if licence := training.get("licence"):
        data["general.license"] = str(licence)
    kinds = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "BF16": "MOSTLY_BF16", "Q8_0": "MOSTLY_Q8_0"}
    data["general.file_type"] = int(LlamaFileType[kinds[kind]])
    data["general.quantization_version"] = 2
    data["general.alignment"] = GGUF_DEFAULT_ALIGNMENT
    return data


def value_types(value: Any) -> tuple[Any, ...]:
    """The GGUF type (and, of an array, its elements' type) that `value` is written as."""
    from gguf import GGUFValueType as V

    if isinstance(value, list):
        return V.ARRAY, value_types(value[0])[0] if not isinstance(value[0], int) else V.INT32
    if isinstance(value, bool):
        return (V.BOOL,)
    return ({str: V.STRING, int: V.UINT32, float: V.FLOAT32}[type(value)],)
