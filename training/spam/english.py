"""Ordinary English as honest text, so that what is unknown is not taken for spam.

Takes pieces of blogs and turns of conversations, as long as mails and messages are. They have no label of their own.
"""

from __future__ import annotations

import bz2
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from training.errors import TrainingError
from training.spam.corpora import Mail

SOURCE = "english"
BLOGS, TALKS = "raw/us_gov_blogs.txt", ("chat/self_dialogue.jsonl", "chat/byu_chitchat.jsonl")
PIECES = 3000
TALKS_READ = 4000  # of each file
SEPARATOR = "<|endoftext|>"


def english(folder: Path, count: int = PIECES, seed: int = 0) -> list[Mail]:
    """`count` pieces of the files in `folder`, half of them from blogs.

    Raises:
        TrainingError: a file is missing.
    """
    rng = random.Random(seed)
    mails = []
    blogs = [blog.strip() for blog in "".join(_lines(folder / BLOGS)).split(SEPARATOR) if len(blog) > 300]
    for blog in rng.choices(blogs, k=count // 2):
        subject, _, body = blog.partition("\n")
        keep = len(subject) < 120 and rng.random() < 0.7
        mails.append(
            Mail(_piece(body.split(" "), rng, rng.randint(30, 400), " "), subject if keep else "", False, SOURCE)
        )
    for name in TALKS:
        talks = [json.loads(line)["messages"] for line in islice(_lines(folder / name), TALKS_READ)]
        for talk in rng.choices(talks, k=count // 4):
            turns = [turn["content"] for turn in talk if turn["role"] != "system"]
            mails.append(Mail(_piece(turns, rng, rng.choice((1, 1, 1, 2, 3, 6)), "\n"), "", False, SOURCE))
    return mails


def _piece(parts: list[str], rng: random.Random, length: int, joint: str) -> str:
    """`length` neighbours of `parts`, from the beginning or from anywhere."""
    start = rng.choice((0, 0, rng.randrange(max(1, len(parts) - length + 1))))
    return joint.join(parts[start : start + length]).strip()


def _lines(path: Path) -> Iterator[str]:
    packed = path.with_name(f"{path.name}.bz2")
    try:
        with bz2.open(packed, "rt", encoding="utf-8") if packed.is_file() else path.open(encoding="utf-8") as file:
            yield from file
    except OSError as error:
        raise TrainingError(f"{path} (or .bz2) cannot be read: {(error.strerror or str(error)).lower()}.") from None
