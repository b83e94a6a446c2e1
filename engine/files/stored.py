"""Stored: a tensor that lies in a file and is read when it is needed, so that a model is never in memory twice.

Owns opening Hugging Face's weight files: safetensors in one piece or sharded, and pickles, which are only ever read
with `weights_only=True`. GGUF is `gguf_file.py`; what the tensors are for is `weights.py`.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import ModelFolderError

SINGLE, SHARDED = "model.safetensors", "model.safetensors.index.json"
PICKLE, PICKLE_SHARDED = "pytorch_model.bin", "pytorch_model.bin.index.json"


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its shape now, its numbers when they are asked for."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]  # a view of the mapped file where the format allows it
    read_rows: Callable[[Tensor], Tensor] | None = None  # some rows [ids…] → [ids…, C], where all is not wanted

    def rows(self, ids: Tensor) -> Tensor:
        """Rows `ids` of a matrix, [..., C], without reading the others."""
        return self.read_rows(ids) if self.read_rows is not None else F.embedding(ids, self.read())

    def transposed(self) -> Stored:
        return Stored(self.shape[::-1], lambda: self.read().t().contiguous())

    def part(self, index: int, parts: int) -> Stored:
        """The `index`-th of equal `parts` along the first dimension."""
        size = self.shape[0] // parts
        shape = (size if self.shape[0] % parts == 0 else 0, *self.shape[1:])
        return Stored(shape, lambda: self.read()[index * size : (index + 1) * size].clone())

    def plus(self, number: float) -> Stored:
        return Stored(self.shape, lambda: self.read().float() + number)


def read_weights(folder: Path) -> dict[str, Stored]:
    """Every tensor of a Hugging Face model folder, by the name it has there.

    Raises:
        ModelFolderError: no weights, or a file that is missing, cut short or damaged.
    """
    if (folder / SINGLE).is_file():
        return read_safetensors(folder / SINGLE)
    if (folder / SHARDED).is_file():
        return _sharded(folder / SHARDED, read_safetensors)
    if (folder / PICKLE).is_file():
        return read_pickle(folder / PICKLE)
    if (folder / PICKLE_SHARDED).is_file():
        return _sharded(folder / PICKLE_SHARDED, read_pickle)
    raise ModelFolderError(f"The model folder {folder} has no weights ({SINGLE}, {SHARDED} or {PICKLE}).")


def read_safetensors(path: Path) -> dict[str, Stored]:
    """Every tensor in `path`, memory-mapped.

    Raises:
        ModelFolderError: missing, truncated or no safetensors file.
    """
    try:
        file = safe_open(path, framework="pt")
        return {name: _in_safetensors(path, file, name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, MemoryError) as error:
        raise _damaged(path, error) from error


def _in_safetensors(path: Path, file: safe_open, name: str) -> Stored:
    def read() -> Tensor:
        try:
            return file.get_tensor(name)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise _damaged(path, error) from error

    return Stored(tuple(file.get_slice(name).get_shape()), read)


def read_pickle(path: Path) -> dict[str, Stored]:
    """Every tensor in a `.bin` of torch's; nothing in it is executed.

    Raises:
        ModelFolderError: missing, damaged, or something else than a table of tensors.
    """
    try:
        mapped = zipfile.is_zipfile(path)  # files from before torch 1.6 are no archives and cannot be mapped
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (OSError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ModelFolderError(f"The weights {path} hold something else than named tensors.")
    return {name: Stored(tuple(tensor.shape), partial(_itself, tensor)) for name, tensor in state.items()}


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _sharded(index: Path, read: Callable[[Path], dict[str, Stored]]) -> dict[str, Stored]:
    """The tensors of all files that `index` names; the files must lie beside it."""
    try:
        names: dict[str, str] = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        files = sorted({str(file) for file in names.values()})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(index, error) from error
    state: dict[str, Stored] = {}
    for file in files:
        if Path(file).name != file:
            raise ModelFolderError(f"{index} names the file {file!r}, which is not in its own folder.")
        state |= read(index.parent / file)
    if absent := sorted(names.keys() - state.keys()):
        raise ModelFolderError(f"{index} names tensors that its files do not have: {', '.join(absent[:4])}.")
    return state


def _damaged(path: Path, error: BaseException) -> ModelFolderError:
    why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return ModelFolderError(f"The weights {path} cannot be read: the file is missing, cut short or damaged ({why}).")
