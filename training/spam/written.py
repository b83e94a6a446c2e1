"""Mails and messages written by hand for the spam scorer, as examples: kinds of mail that the corpora do not hold.

Owns reading the files in `written/` (blocks of label and kind, subject, body; alternatives in braces) and drawing
variants. They are of other years and trades than the corpora (parcels, crypto, blackmail, receipts, notices, clubs,
offices), and nothing is measured on them. Language models that help to build homespun wrote them, block by block. Those
whose name begins with "pairs" count more: theme by theme spam beside the honest mail that is most like it (what a
service writes, and what a pretender writes), as it reads once its HTML is text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from training.errors import TrainingError
from training.spam.corpora import Mail, without_doubles

SOURCE, PAIRS = "written", "pairs"
FOLDER = Path(__file__).parent / "written"
VARIANTS = 8  # of a block at most; those that differ too little from an earlier one are left out
_HEAD = re.compile(r"(?:spam|ham) [a-z ]+")
_CHOICE = re.compile(r"\{([^{}]*)\}")
_LEFT = re.compile(r"[{}|]")


def written(path: Path, variants: int = VARIANTS, seed: int = 0) -> list[Mail]:
    """At most `variants` mails of each block of the file `path`, a pure function of the file and `seed`.

    Raises:
        TrainingError: it cannot be read, a block does not begin with its label, or its braces are not in pairs.
    """
    mails: list[Mail] = []
    source = PAIRS if path.name.startswith(PAIRS) else SOURCE
    for number, block in enumerate(blocks_of(path)):
        head, subject, body = (*block.split("\n", 2), "", "")[:3]
        if not _HEAD.fullmatch(head) or not body.strip():
            raise TrainingError(f"{path}: a block needs a label and kind, a subject (or an empty line) and a body.")
        rng, spam = random.Random(f"{seed}/{number}"), head.startswith("spam")
        drawn = [Mail(drawn_from(body, rng), drawn_from(subject, rng), spam, source) for _ in range(variants)]
        if any(_LEFT.search(f"{mail.subject}{mail.text}") for mail in drawn):
            raise TrainingError(f"{path}: a brace or | stands alone in the block {head!r}, {subject[:60]!r}.")
        mails += without_doubles(drawn)
    return mails


def blocks_of(path: Path) -> list[str]:
    """The blocks of the file `path`, a kind of mail each, without comments.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        blocks = re.split(r"\n\n(?=(?:spam|ham) )", path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read ({error}).") from None
    return [block for block in blocks if not block.startswith("#")]


def by_hand(more: Sequence[Path] = ()) -> list[Mail]:
    """The mails of the files that ship, and of `more` of their form, files or folders of such.

    Raises:
        TrainingError: as `written`.
    """
    files = [file for path in (FOLDER, *more) for file in (sorted(path.glob("*.txt")) if path.is_dir() else [path])]
    return [mail for file in files for mail in written(file)]


def drawn_from(text: str, rng: random.Random) -> str:
    """`text` with one alternative of every pair of braces; braces may stand in braces."""
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)
    return text.strip()
