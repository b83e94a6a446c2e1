"""Which models are on this machine: the one bundled with the package and those in the user's models folder.

Reads only small JSON files; torch-free, so that the app may list models before anything is loaded.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import ModelFolderError
from engine.protocol import SamplingParams

BUNDLED = Path(__file__).parent / "bundled"
DEFAULT_MODEL = "homespun-v0"
GGUF = "model.gguf"
ADAPTER_CONFIG = "adapter_config.json"
FACTS = "homespun.json"  # what was found out about a model when it was added: architecture, source, licence, checksums
BYTES_PER_WEIGHT = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "int4": 0.625}  # in memory, by precision
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    GGUF,
)


@dataclass(frozen=True)
class ModelInfo:
    """What can be said of a model without opening its weights."""

    name: str
    path: Path
    parameters: int | None
    context_length: int | None  # tokens
    licence: str | None
    bundled: bool
    size: int  # bytes of the weights
    architecture: str | None = None  # as the model's own files call it
    has_template: bool | None = None  # whether it has a chat template; None: unknown
    facts: dict[str, Any] = field(default_factory=dict)  # FACTS, as written when it was added

    @property
    def key(self) -> str:
        """What it is asked for by: the folder's name, or the file's path."""
        return str(self.path) if self.path.is_file() else self.path.name


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`.

    Raises:
        ModelFolderError: missing, unreadable, or not a JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFolderError(f"The model folder {path.parent} has no {path.name}. Is it complete?") from None
    except (OSError, ValueError) as error:
        raise ModelFolderError(
            f"{path} cannot be read ({error}). Restore the model folder or choose another."
        ) from None
    if not isinstance(data, dict):
        raise ModelFolderError(f"{path} does not hold a JSON object. Restore the model folder or choose another.")
    return data


def describe(path: Path) -> ModelInfo:
    """The model in folder or GGUF file `path`.

    Raises:
        ModelFolderError: there is none, or a file that it needs is missing or unreadable.
    """
    if path.suffix == ".gguf" and os.path.isfile(path):  # Path.is_file raises where a name is too long to be one
        return ModelInfo(path.stem, path, None, None, None, bundled=False, size=path.stat().st_size)
    if not os.path.isdir(path):
        raise ModelFolderError(f"There is no model folder or GGUF file at {path}.")
    if is_adapter(path):
        return _describe_adapter(path)
    if not any((path / name).is_file() for name in WEIGHTS):
        raise ModelFolderError(f"The model folder {path} has no weights, such as {WEIGHTS[0]}. Is it complete?")
    gguf = (path / GGUF).is_file()
    config = read_json(path / "config.json") if not gguf else {}
    training, facts = _optional(path / "training.json"), _optional(path / FACTS)
    context = config.get("max_position_embeddings") or config.get("n_positions") or facts.get("context_length")
    return ModelInfo(
        name=path.name if facts else str(training.get("name") or path.name),
        path=path,
        parameters=_number(training.get("parameters")) or _number(facts.get("parameters")),
        context_length=_number(context),
        licence=_text(training.get("licence")) or _text(facts.get("licence")),
        bundled=path.parent == BUNDLED,
        size=sum(file.stat().st_size for file in path.iterdir() if file.suffix in (".safetensors", ".bin", ".gguf")),
        architecture=_text(facts.get("architecture")) or _text(config.get("model_type")),
        has_template=facts.get("has_template", None if gguf else _has_template(path)),
        facts=facts,
    )


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _has_template(path: Path) -> bool:
    if (path / "chat_template.jinja").is_file():
        return True
    try:
        return bool(_optional(path / "tokenizer_config.json").get("chat_template"))
    except ModelFolderError:
        return False  # whoever opens it is told what is wrong with the file


def is_adapter(path: Path) -> bool:
    """Whether folder `path` holds an adapter and no whole model."""
    return (path / ADAPTER_CONFIG).is_file() and not (path / "config.json").is_file()


def _describe_adapter(path: Path) -> ModelInfo:
    """An adapter (adapter.py) is its base model, by another name and from another folder."""
    base = base_of(path)
    training = read_json(path / "training.json") if (path / "training.json").is_file() else {}
    name = str(training.get("name") or path.name)
    facts = _optional(path / FACTS)
    licence = _text(training.get("licence")) or _text(facts.get("licence"))
    return replace(describe(base), name=name, path=path, bundled=False, licence=licence, facts=facts)


def base_of(path: Path) -> Path:
    """The folder or file of the model that the adapter in folder `path` was trained on: a path, or a name beside it.

    Raises:
        ModelFolderError: the adapter does not name it, or it is not there.
    """
    name = read_json(path / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise ModelFolderError(f"{path / ADAPTER_CONFIG} does not say which model it belongs to.")
    # One folder up, too: while it is being added, an adapter lies in a hidden folder inside the models folder.
    beside = (path.parent, path.parent.parent) if path.parent.name.startswith(".") else (path.parent,)
    if "/" in name or "\\" in name or name.startswith("~"):
        candidates = [Path(os.path.expanduser(name)), *_added_from(name, *beside)]
    else:
        candidates = [*(folder / name for folder in beside), BUNDLED / name]
    for base in candidates:
        if base.exists() and not is_adapter(base):
            return base
    raise ModelFolderError(
        f"The adapter {path} needs the model {name}, which is not here (an adapter on an adapter cannot be opened)."
    )


def _added_from(source: str, *folders: Path) -> list[Path]:
    """The models below `folders` that were added from the Hub's repository `source`."""
    found = []
    for path in (path.parent for folder in folders for path in sorted(folder.glob(f"*/{FACTS}"))):
        try:
            if read_json(path / FACTS).get("source") == source:
                found.append(path)
        except ModelFolderError:
            continue
    return found


def sampling_defaults(path: Path) -> SamplingParams:
    """How the model in folder `path` wants to be sampled (its generation_config.json); ours where it says nothing.

    A damaged or odd file is not worth a failure: the defaults hold then.
    """
    try:
        data = read_json((base_of(path) if is_adapter(path) else path) / "generation_config.json")
        greedy = data.get("do_sample") is False
        given = {key: data[key] for key in ("temperature", "top_k", "top_p", "repetition_penalty") if key in data}
        return SamplingParams(**({**given, "temperature": 0.0} if greedy else given))
    except (ModelFolderError, TypeError, ValueError):
        return SamplingParams()


def list_models(*folders: Path) -> list[ModelInfo]:
    """Every readable model folder right below `folders` (the bundled ones last); for the others see `unreadable`."""
    return _look(*folders)[0]


def unreadable(*folders: Path) -> list[tuple[str, str]]:
    """(name, why) of every folder below `folders` that holds no model one could open."""
    return _look(*folders)[1]


def _look(*folders: Path) -> tuple[list[ModelInfo], list[tuple[str, str]]]:
    found, faulty = [], []
    for folder in (*folders, BUNDLED):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name.startswith("."):
                continue  # something that is being written
            try:
                found.append(describe(path))
            except (ModelFolderError, OSError) as error:
                if path.is_dir():
                    faulty.append((path.name, str(error)))
    return found, faulty


def find(name: str, *folders: Path) -> ModelInfo:
    """The model called `name`: the path of a folder or GGUF file, or a folder's name below `folders` or the bundled.

    Raises:
        ModelFolderError: no such model, or its folder is unreadable.
    """
    if "/" in name or "\\" in name or name.startswith("~") or name.endswith(".gguf"):
        return describe(Path(os.path.expanduser(name)))
    for folder in (*folders, BUNDLED):
        if name and not name.startswith(".") and os.path.isdir(folder / name):
            return describe(folder / name)
    known = ", ".join(sorted({info.path.name for info in list_models(*folders)})) or "none"
    raise ModelFolderError(f"There is no model called {name!r}. Models here: {known}.")
