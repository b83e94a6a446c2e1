"""Classifier: a decoder's blocks with a head that says which of a few labels a text has, and how sure it is.

Owns the head, the folder of such a model (its config.json says task "classify") and running it on many texts. What
the labels mean and how a text is cleaned is the app's business; training is the lab's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.catalog import read_json
from engine.decoder.layers import Linear
from engine.decoder.model import GPT
from engine.decoder.view import both_ways
from engine.errors import ModelFolderError
from engine.files.architectures import find_architecture, from_hugging_face
from engine.files.stored import read_weights
from engine.files.weights import fill
from engine.files.writing import shape_and_weights, write_folder
from engine.run.compiled.step import MOST, CompiledStep
from engine.run.device import Placement, choose
from engine.run.fuse import Decoder, fuse
from engine.run.rows import BATCH_TOKENS, by_length, pad
from engine.text.chat_template import END_OF_TEXT
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_files import load_tokenizer

HEAD = "score.weight"  # transformers' name for it
CPU_TOKENS = 512  # tokens at once on a CPU: what stays in its caches is twice as quick there


@dataclass(frozen=True)
class ClassifierConfig:
    """How a text becomes a label."""

    labels: tuple[str, ...]
    pooling: Literal["last", "mean"] = "last"  # what the head reads: the last real token, or the mean of all
    causal: bool = True  # whether a token sees only what is before it; without, the blocks read in both directions
    context: int = 512  # tokens of a text that are read; the rest is cut off, and said to be
    keep: Literal["head", "ends"] = "head"  # of a longer text: its beginning, or three quarters of it and its end
    temperature: float = 1.0  # logits are divided by this before they become probabilities (Guo et al. 2017)

    def __post_init__(self) -> None:
        checks = (
            (len(self.labels) >= 2, "it needs at least two labels"),
            (len(set(self.labels)) == len(self.labels), "a label is named twice"),
            (self.pooling in ("last", "mean"), f"there is no pooling {self.pooling!r}; choose last or mean"),
            (self.context >= 1, "the context must be at least 1 token"),
            (self.keep in ("head", "ends"), f"it cannot keep {self.keep!r}; choose head or ends"),
            (0 < self.temperature < math.inf, "the temperature must be above 0"),
        )
        for ok, what in checks:
            if not ok:
                raise ValueError(f"A classifier cannot be like this: {what}.")

    def shorten(self, tokens: list[int]) -> list[int]:
        """What is read of `tokens`: at most `context` of them."""
        if len(tokens) <= self.context:
            return tokens
        tail = self.context // 4 if self.keep == "ends" else 0
        return tokens[: self.context - tail] + tokens[len(tokens) - tail :]


class Classifier(nn.Module):
    """`body` without its language head, and a linear layer without bias, as transformers has it."""

    def __init__(self, body: GPT, config: ClassifierConfig) -> None:
        super().__init__()
        self.body, self.config = body, config
        self.score = Linear(body.config.d_model, len(config.labels), bias=False)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Ids [B, T], padded behind, of which the first `lengths` [B] are real → logits [B, labels], fp32."""
        return self.score(self.pooled(tokens, lengths).to(self.score.weight.dtype)).float()

    def pooled(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[B, C]: what the head reads."""
        return pool(self.body, self.config, tokens, lengths)


def pool(body: Decoder, config: ClassifierConfig, tokens: Tensor, lengths: Tensor) -> Tensor:
    """[B, C] of `body` over ids [B, T]. Padding stands behind, so that causal attention never sees it."""
    view = None if config.causal else both_ways(lengths, tokens.shape[1])
    hidden = body.hidden(tokens, view=view)
    if config.pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    real = torch.arange(tokens.shape[1], device=hidden.device)[None, :] < lengths[:, None]
    return (hidden * real[..., None]).sum(1) / lengths[:, None]


@dataclass(frozen=True)
class Classified:
    """What is said of one text."""

    label: str
    probability: float  # of that label, calibrated
    probabilities: tuple[float, ...]  # of every label, in the model's order
    tokens: int  # that the text has
    cut: int  # tokens that were not read: at its end, or before the last quarter


class TextClassifier:
    """A classifier ready for texts."""

    def __init__(self, model: Classifier, tokenizer: Tokenizer, name: str, place: Placement) -> None:
        self.tokenizer, self.name, self.place = tokenizer, name, place
        self.config, self.labels = model.config, model.config.labels
        self._body, self.head = fuse(model.body, place.precision), model.score.weight.detach().float()

    @classmethod
    def load(cls, folder: Path, place: Placement | None = None) -> TextClassifier:
        """The classifier in `folder`; in fp32 on the CPU unless `place` says otherwise.

        Raises:
            ModelFolderError: it holds something else, or is damaged.
        """
        place = place or choose("cpu", "fp32")
        model, tokenizer = load_classifier(folder, place)
        return cls(model, tokenizer, folder.name, place)

    def classify(self, texts: Sequence[str]) -> list[Classified]:
        """What each of `texts` is, in their order."""
        encoded = [encode(self.tokenizer, text) for text in texts]
        result = []
        for tokens, row in zip(encoded, self._probabilities(encoded).tolist(), strict=True):
            best = max(range(len(row)), key=row.__getitem__)
            cut = max(len(tokens) - self.config.context, 0)
            result.append(Classified(self.labels[best], row[best], tuple(row), len(tokens), cut))
        return result

    def probabilities(self, texts: Sequence[str]) -> Tensor:
        """[texts, labels], fp32: how likely each label is, calibrated."""
        return self._probabilities([encode(self.tokenizer, text) for text in texts])

    def logits(self, texts: Sequence[str]) -> Tensor:
        """[texts, labels], fp32, before the temperature."""
        return self._logits([encode(self.tokenizer, text) for text in texts])

    def _probabilities(self, encoded: list[list[int]]) -> Tensor:
        return (self._logits(encoded) / self.config.temperature).softmax(-1)

    def _logits(self, encoded: list[list[int]]) -> Tensor:
        with torch.inference_mode():
            return F.linear(self._pooled(encoded), self.head).cpu()

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """[texts, C], fp32: what the head reads of each."""
        return self._pooled([encode(self.tokenizer, text) for text in texts]).clone()  # no inference tensor

    @torch.inference_mode()
    def _pooled(self, encoded: list[list[int]]) -> Tensor:
        wanted = [tuple(self.config.shorten(tokens)) for tokens in encoded]
        read = list(dict.fromkeys(wanted))  # often several texts differ only where nothing is read
        result = torch.empty(len(read), self.head.shape[1], device=self.place.device)
        many = []
        for row, text in enumerate(read):
            if self._reads_alone(text):
                result[row] = self._pooled_alone(text)
            else:
                many.append(row)
        budget = CPU_TOKENS if self.place.device.type == "cpu" else BATCH_TOKENS
        for batch in by_length([len(read[row]) for row in many], budget):
            rows = [many[index] for index in batch]
            tokens, lengths = pad([read[row] for row in rows])
            tokens, lengths = tokens.to(self.place.device), lengths.to(self.place.device)
            result[rows] = pool(self._body, self.config, tokens, lengths).float()
        place = {text: row for row, text in enumerate(read)}
        return result[[place[text] for text in wanted]]

    def _reads_alone(self, tokens: Sequence[int]) -> bool:
        """Whether compiled code reads such a text: in one call, which no batch of torch's is as quick as."""
        return isinstance(self._body.step, CompiledStep) and len(tokens) <= MOST

    def _pooled_alone(self, tokens: Sequence[int]) -> Tensor:
        """[C]: what the head reads of a text that compiled code reads."""
        assert isinstance(self._body.step, CompiledStep)
        hidden = self._body.step.hidden(tokens, both_ways=not self.config.causal)
        return hidden.mean(0) if self.config.pooling == "mean" else hidden[-1]


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of `text`, never none: an empty text is the token that a text begins or ends with, or a space."""
    begin = [tokenizer.bos] if tokenizer.bos is not None else []
    tokens = begin + tokenizer.encode(text)
    end = tokenizer.special_tokens.get(END_OF_TEXT)
    return tokens or ([end] if end is not None else tokenizer.encode(" "))


def is_classifier(folder: Path) -> bool:
    """Whether the model in `folder` classifies; False for one that cannot be read."""
    try:
        return read_json(folder / "config.json").get("task") == "classify"
    except ModelFolderError:
        return False


def load_classifier(folder: Path, place: Placement) -> tuple[Classifier, Tokenizer]:
    """The model in plain layers, made to be looked into or trained on, and its tokenizer.

    Raises:
        ModelFolderError: `folder` holds no classifier, or a damaged one.
    """
    data = read_json(folder / "config.json")
    if data.get("task") != "classify":
        raise ModelFolderError(f"{folder} holds no classifier: its config.json does not say that its task is classify.")
    config = _read_config(data, folder)
    shape = replace(from_hugging_face(data), tie_embeddings=True)  # there is no language head, tied or not
    if config.context > shape.context_length:
        raise ModelFolderError(f"The classifier {folder} reads {config.context} tokens; its body is made for fewer.")
    weights = read_weights(folder)
    head = weights.pop(HEAD, None)
    if head is None or head.shape != (len(config.labels), shape.d_model):
        raise ModelFolderError(f"The classifier {folder} has no head ({HEAD}) for its {len(config.labels)} labels.")
    body = fill(shape, find_architecture(data).rename(weights), place.device, place.dtype)
    model = Classifier(body, config)
    model.score.weight = nn.Parameter(head.read().to(place.device, place.dtype), requires_grad=False)
    return model.eval(), load_tokenizer(folder)


def _read_config(data: dict[str, Any], folder: Path) -> ClassifierConfig:
    try:
        names = {int(number): str(label) for number, label in data["id2label"].items()}
        own = {f.name: data["classifier"][f.name] for f in fields(ClassifierConfig) if f.name in data["classifier"]}
        return ClassifierConfig(**{**own, "labels": tuple(names[i] for i in range(len(names)))})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFolderError(f"{folder / 'config.json'} does not describe a classifier ({error}).") from error


def save_classifier(
    folder: Path, model: Classifier, tokenizer_files: Mapping[str, str], *, training: dict[str, Any], card: str
) -> None:
    """Write the whole folder of a classifier in its weights' own precision. Qwen3-shaped ones open in transformers.

    `tokenizer_files` are the texts of `tokenizer.json` and what else its tokenizer needs, by file name.
    """
    shape = replace(model.body.config, tie_embeddings=True)
    body = {name: tensor for name, tensor in model.body.state_dict().items() if not name.startswith("head.")}
    data, weights = shape_and_weights(shape, body)
    kind = {"architectures": ["Qwen3ForSequenceClassification"]} if data["model_type"] == "qwen3" else {}
    documents = {"config.json": {**data, **kind, **_to_json(model.config)}, "training.json": training}
    write_folder(
        folder,
        documents,
        {**tokenizer_files, "README.md": card},
        {"model.safetensors": {**weights, HEAD: model.score.weight}},
    )


def _to_json(config: ClassifierConfig) -> dict[str, Any]:
    """The entries of config.json that make a model's folder a classifier's."""
    settings = {key: value for key, value in asdict(config).items() if key != "labels"}
    return {
        "task": "classify",
        "eos_token_id": None,
        "pad_token_id": 0,
        "id2label": {str(number): label for number, label in enumerate(config.labels)},
        "label2id": {label: number for number, label in enumerate(config.labels)},
        "classifier": settings,
    }


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the least cross-entropy for `logits` [N, labels] and true `labels` [N] (Guo et al. 2017).

    Between 1/20 and 20, by golden-section search on its logarithm: the loss has one minimum in it.
    """

    def loss(x: float) -> float:
        return F.cross_entropy(logits.double() / math.exp(x), labels).item()

    low, high, ratio = math.log(0.05), math.log(20.0), (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)
