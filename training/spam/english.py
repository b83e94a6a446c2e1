"""Ordinary English as honest text, so that what is unknown is not taken for spam.

Takes pieces of blogs and turns of conversations, as long as mails and messages are, and both as a feed or a forum mails
them: a headline, a link and a sentence or two. They have no label of their own.
"""

from __future__ import annotations

import bz2
import json
import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from training.errors import TrainingError
from training.spam.corpora import Mail

SOURCE = "english"
BLOGS, TALKS = "raw/us_gov_blogs.txt", ("chat/self_dialogue.jsonl", "chat/byu_chitchat.jsonl")
PIECES = 3000
FEEDS = 5  # there is one item of a feed for so many pieces
TALKS_READ = 4000  # of each file
SEPARATOR = "<|endoftext|>"
TITLE, CUT_AT = 90, 160  # characters of a headline at most, and of the text of an item that may be cut
_SENTENCE = re.compile(r"[^.!?]+[.!?]+|[^.!?]+$")


def english(folder: Path, count: int = PIECES, seed: int = 0) -> list[Mail]:
    """`count` pieces of the files in `folder`, half of them from blogs, and the items of feeds beside them.

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
    items = []
    for blog in rng.choices(blogs, k=count // FEEDS // 2):
        title, _, body = blog.partition("\n")
        items.append((title[:TITLE], body))
    for name in TALKS:
        talks = [json.loads(line)["messages"] for line in islice(_lines(folder / name), TALKS_READ)]
        for talk in rng.choices(talks, k=count // 4):
            turns = [turn["content"] for turn in talk if turn["role"] != "system"]
            mails.append(Mail(_piece(turns, rng, rng.choice((1, 1, 1, 2, 3, 6)), "\n"), "", False, SOURCE))
        for talk in rng.choices(talks, k=count // FEEDS // 4):
            turns = [turn["content"] for turn in talk if turn["role"] != "system"]
            items.append((rng.choice(turns)[:TITLE], rng.choice(turns)))
    return mails + [_item(title, body, rng) for title, body in items]


def _item(title: str, body: str, rng: random.Random) -> Mail:
    """What a feed mails of `title` and `body`: the first sentences, or none, and a link in one of several places."""
    text = " ".join(_SENTENCE.findall(" ".join(body.split()))[: rng.choice((0, 1, 1, 2, 3))])
    if len(text) > CUT_AT and rng.random() < 0.5:
        text = f"{text[: rng.randint(CUT_AT // 2, CUT_AT)].rpartition(' ')[0]}{rng.choice(('...', '…', ' [more]'))}"
    words = re.findall(r"[a-z]{3,}", title.lower()) or ["post"]
    host = f"{rng.choice(('www', 'blog', 'news'))}.{rng.choice(words)}{rng.choice(('.com', '.org', '.net', '.gov'))}"
    year, month, day = rng.randint(2001, 2024), rng.randint(1, 12), rng.randint(1, 28)
    end = rng.choice(("-".join(words[:4]), f"{rng.randint(100, 99999)}.html", f"{year}/{month:02d}/{words[-1]}"))
    link, date = f"http://{host}/{end}", rng.choice(("Not supplied", f"{year}-{month:02d}-{day:02d}T08:30:00"))
    forms = (
        f"URL: {link}\nDate: {date}\n\n{text}",
        f"{link}\n\n{text}",
        f"{text}\n\n{link}",
        f"{text} Read more: {link}",
    )
    return Mail(rng.choice(forms).strip(), title.strip(), False, SOURCE)


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
