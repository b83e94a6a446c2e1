"""Wish: what a person wants a model to learn, as a form has it; the run's `wish.json`. Torch-free.

Owns the fields, their defaults, the words that stand beside them in a form, and reading and writing the file. What
recipe a wish becomes is `tuning/recipes.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from training.errors import RecipeError

Kind = Literal["answers", "documents", "feedback", "labels", "spam", "scratch"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TITLES: dict[Kind, tuple[str, str]] = {
    "answers": ("Teach it answers", "questions and answers, from a file or typed in"),
    "documents": ("Teach it my documents", "a text or a folder that it goes on reading"),
    "feedback": ("Learn from my feedback", "what you marked good or bad, or wrote better"),
    "labels": ("Make a classifier", "texts and their labels, from a table"),
    "spam": ("Correct the spam check", "verdicts that you called wrong"),
    "scratch": ("Build a model from raw text", "a vocabulary, then a model that reads the text"),
}
STAGES: dict[Kind, str] = {  # which stage of the lab trains it
    "answers": "sft",
    "documents": "pretrain",
    "feedback": "dpo",
    "labels": "classify",
    "spam": "spam",
    "scratch": "pretrain",
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LEARNING: tuple[Kind, ...] = ("answers", "documents", "feedback", "labels")  # those that go on from a base
LOOPED: tuple[Kind, ...] = (*LEARNING, "scratch")  # those that the training loop does


def _field(
    default: Any,
    label: str,
    note: str = "",
    *,
    kinds: tuple[Kind, ...] = KINDS,
    advanced: bool = False,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field with what a form says beside it."""
    words = {"label": label, "note": note, "kinds": kinds, "advanced": advanced, "choices": choices}
    return field(default=default, metadata=words)


@dataclass(frozen=True)
class Wish:
    """One run, as asked for. Numbers that are 0 are chosen when the data is known."""

    kind: Kind
    files: tuple[str, ...] = _field((), "Data", "a file or a folder")
    name: str = _field("", "Name", "of the model that is made")
    base: str = _field("homespun-v0", "Goes on from", "the model that learns", kinds=LEARNING)
    method: str = _field(
        "lora", "How", "additions are small and forget less; the whole model learns more",
        kinds=LEARNING, choices=("lora", "full"),
    )  # fmt: skip
    epochs: float = _field(
        0.0, "Epochs", "how often it sees each example; 0: as many as such data needs", kinds=LOOPED
    )  # fmt: skip
    minutes: float = _field(0.0, "Minutes", "instead of epochs: as many as fit; 0: epochs count", kinds=LOOPED)
    size: str = _field(
        "tiny", "Size", "1, 5 or 25 million parameters", kinds=("scratch",), choices=("tiny", "mini", "small")
    )
    chats: bool = _field(
        True, "Chat", "learn afterwards, from the sample dialogues, to answer as an assistant", kinds=("scratch",)
    )
    text_column: str = _field("", "Text column", "of the table; empty: looked for", kinds=("labels",))
    label_column: str = _field("", "Label column", "of the table; empty: looked for", kinds=("labels",))
    rephrase: bool = _field(
        True, "Ask in other words", "each question is learned in some other wordings too", kinds=("answers",)
    )
    replay: bool = _field(
        True, "Keep what it knows", "mixes in dialogues that it knows, so that it forgets less",
        kinds=("answers", "documents", "feedback"),
    )  # fmt: skip
    held_out: float = _field(
        0.0, "Held out", "per cent of the examples that only test it; answers to be known by heart: 0",
        kinds=("answers",), advanced=True,
    )  # fmt: skip
    lr: float = _field(0.0, "Learning rate", "0: what suits the method", kinds=LOOPED, advanced=True)
    rank: int = _field(0, "Rank", "of the additions; 0: what suits the data", kinds=LEARNING, advanced=True)
    beta: float = _field(0.1, "Beta", "how dear leaving the old model is", kinds=("feedback",), advanced=True)
    context: int = _field(256, "Context", "tokens that an example may have", kinds=LOOPED, advanced=True)
    batch_tokens: int = _field(512, "Batch", "tokens a step", kinds=LOOPED, advanced=True)
    threads: int = _field(0, "Threads", "processor cores it may use; 0: all, at low priority", advanced=True)
    seed: int = _field(
        1, "Seed", "the same seed, data and fields give the same model", kinds=LOOPED, advanced=True
    )  # fmt: skip
    scorer: str = _field(
        "", "Scorer", "its folder; empty: the one in use", kinds=("spam",), advanced=True
    )  # fmt: skip
    old_mail: str = _field(
        "", "Old mail", "prepared mail to mix in and compare on; empty: the app's, or what the scorer remembers",
        kinds=("spam",), advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Raises RecipeError: a field that cannot be."""
        rules = [
            (self.kind in KINDS, f"There is no kind of training called {self.kind!r}."),
            (bool(NAME.fullmatch(self.name)) or not self.name,
             f"A model cannot be called {self.name!r}: use letters, digits, '-', '_' and '.', at most 60."),
            (self.method in ("lora", "full"), f"How must be lora or full, not {self.method!r}."),
            (self.size in SIZES, f"Size must be one of {', '.join(SIZES)}, not {self.size!r}."),
            (0 <= self.epochs <= 1000, "Epochs must be from 0 to 1000."),
            (0 <= self.minutes <= 10_000, "Minutes must be from 0 to 10000."),
            (0 <= self.held_out <= 50, "Held out must be from 0 to 50 per cent."),
            (0 <= self.lr <= 1, "Learning rate must be from 0 to 1."),
            (0 <= self.rank <= 512, "Rank must be from 0 to 512."),
            (0 < self.beta <= 10, "Beta must be above 0 and at most 10."),
            (16 <= self.context <= 32_768, "Context must be from 16 to 32768 tokens."),
            (self.context <= self.batch_tokens <= 1_000_000, "Batch must be at least Context."),
            (0 <= self.threads <= 1024, "Threads must be from 0 to 1024."),
        ]  # fmt: skip
        for holds, sentence in rules:
            if not holds:
                raise RecipeError(sentence)

    @property
    def stage(self) -> str:
        return STAGES[self.kind]


SIZES: dict[str, dict[str, int]] = {  # shapes of models made from nothing, and their vocabularies
    "tiny": {"n_layer": 4, "n_head": 4, "n_kv_head": 2, "head_dim": 32, "d_model": 128, "d_ff": 384, "vocab": 2048},
    "mini": {"n_layer": 6, "n_head": 4, "n_kv_head": 2, "head_dim": 64, "d_model": 256, "d_ff": 704, "vocab": 4096},
    "small": {"n_layer": 10, "n_head": 7, "n_kv_head": 7, "head_dim": 64, "d_model": 448, "d_ff": 1216, "vocab": 8192},
}


def fields_of(kind: Kind) -> list[Any]:
    """The fields (dataclasses.Field) that a form of `kind` has, the advanced ones last."""
    ours = [f for f in fields(Wish) if f.metadata and kind in f.metadata["kinds"]]
    return sorted(ours, key=lambda f: bool(f.metadata["advanced"]))


def read_field(name: str, text: str) -> Any:
    """What `text`, typed into a form or a command line, is as field `name`.

    Raises:
        RecipeError: it is not of the field's type.
    """
    known = {f.name: f for f in fields(Wish)}[name]
    kind, label, text = str(known.type), known.metadata["label"], text.strip()
    if kind == "str":
        return text
    if kind == "bool":
        return text.casefold() in ("1", "true", "yes", "on")
    try:
        return int(text or 0) if kind == "int" else float((text or "0").replace(",", "."))
    except ValueError:
        what = "a whole number" if kind == "int" else "a number"
        raise RecipeError(f"{label} must be {what}, not {text!r}.") from None


def save_wish(wish: Wish, path: Path) -> None:
    """Write `wish` to `path`, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(wish), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def load_wish(path: Path) -> Wish:
    """The wish in `path`.

    Raises:
        RecipeError: it cannot be read, or has fields that are not known.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Wish(**{**data, "files": tuple(data.get("files", ()))})
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise RecipeError(f"{path} is damaged or of another version ({error}). Begin the run anew.") from error
