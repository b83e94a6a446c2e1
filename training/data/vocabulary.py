"""The vocabulary of a run: its own, or that of the model it goes on from; with the chat template that belongs to it.

Learning one is `tokenizer.py`; reading one is the engine's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.catalog import base_of, find, is_adapter, read_json
from engine.text.chat_template import END_OF_TEXT, ChatTemplate
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_files import load_tokenizer
from training.recipe import RecipeError

if TYPE_CHECKING:
    from engine.files.model_folder import OpenedModel

BASE = "base.json"  # in a run: which model its vocabulary is of; there is none if the run has learned its own
MARK = "vocabulary.sha256"  # beside the shards: which vocabulary they were made with
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe")
# For a vocabulary without tokens for turns, such as GPT-2's: headings, and the end of a text behind each reply.
HEADINGS = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}### Response:\n{{ message['content'] }}END\n\n"
    "{% elif message['role'] == 'user' %}### Instruction:\n{{ message['content'] }}\n\n"
    "{% else %}{{ message['content'] }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}### Response:\n{% endif %}"
)


@dataclass(frozen=True)
class Vocabulary:
    """Tokenizer and template, and what else a stage needs to know of them."""

    tokenizer: Tokenizer
    template: ChatTemplate
    end: int  # stands behind every document, and pads rows
    files: Mapping[str, str] = field(default_factory=dict)  # what a model's folder needs of it: name → text

    @property
    def mark(self) -> str:
        """Tells this vocabulary from others: a hash of every token's bytes and of the special tokens' names."""
        digest = hashlib.sha256(repr(sorted(self.tokenizer.special_tokens.items())).encode())
        for token in range(self.tokenizer.vocab_size):
            digest.update(self.tokenizer.token_bytes(token) + b"\n")
        return digest.hexdigest()


def vocabulary_file(run: Path) -> Path:
    """The file that is newer than the run's tokens when these have to be made again."""
    return run / BASE if (run / BASE).is_file() else run / "tokenizer.json"


def open_vocabulary(run: Path, base: str | None = None) -> Vocabulary:
    """The vocabulary of `run`: with `base`, a model's name or path, that model's; with "", its own; None: what it has.

    Raises:
        ModelFolderError: the base model is not there.
        RecipeError: the run has no vocabulary yet.
    """
    if base is None and (run / BASE).is_file():
        base = str(read_json(run / BASE)["model"])
    if base:
        return _of_model(open_base(base))
    if not (run / "tokenizer.json").is_file():
        raise RecipeError(f"There is no vocabulary in {run}. Run the stages prepare and tokenizer first.")
    tokenizer = load_tokenizer(run)
    files = {"tokenizer.json": (run / "tokenizer.json").read_text(encoding="utf-8")}
    return Vocabulary(tokenizer, ChatTemplate(tokenizer), tokenizer.special(END_OF_TEXT), files)


def _of_model(opened: OpenedModel) -> Vocabulary:
    known = opened.tokenizer.special_tokens
    end = known.get(END_OF_TEXT, min(opened.end_tokens, default=0))
    name = next((name for name, token in known.items() if token == end), "")
    template = opened.template or ChatTemplate(opened.tokenizer, HEADINGS.replace("END", name))
    folder = base_of(opened.path) if opened.path.is_dir() and is_adapter(opened.path) else opened.path
    paths = [folder / name for name in TOKENIZER_FILES] if folder.is_dir() else []
    files = {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}
    return Vocabulary(opened.tokenizer, template, end, files)


@lru_cache(maxsize=1)
def open_base(model: str) -> OpenedModel:
    """The model called `model`, its weights' numbers not read yet."""
    from engine.files.model_folder import open_model  # which needs torch; the processes that encode texts do not

    return open_model(find(model).path)


def take_base(run: Path, model: str) -> Vocabulary:
    """Let `run` use the vocabulary of `model` from now on."""
    vocabulary = open_vocabulary(run, model)
    data = json.dumps({"model": model, "vocabulary": vocabulary.mark}) + "\n"
    if not (run / BASE).is_file() or (run / BASE).read_text(encoding="utf-8") != data:
        (run / BASE).write_text(data, encoding="utf-8")
    return vocabulary


def mark_shards(run: Path, vocabulary: Vocabulary) -> None:
    """Write down that the run's tokens were made with `vocabulary`."""
    (run / "shards" / MARK).write_text(vocabulary.mark + "\n", encoding="utf-8")


def check_shards(run: Path, vocabulary: Vocabulary) -> None:
    """Whether the run's tokens were made with `vocabulary`.

    Raises:
        RecipeError: they were made with another one, or there are none.
    """
    if not (run / "shards").is_dir():
        raise RecipeError(f"There are no tokens in {run}. Run the stages prepare and tokenizer first.")
    path = run / "shards" / MARK
    if path.is_file() and path.read_text(encoding="utf-8").strip() != vocabulary.mark:
        raise RecipeError(
            f"The tokens in {run / 'shards'} were made with another vocabulary than the model's. Run the tokenizer "
            "stage again with --fresh."
        )
