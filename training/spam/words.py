"""The list of common words that the normaliser respells by: `python -m training.spam.words FOLDER`.

A word counts once a mail and source; at least two of the corpora must know it, or one must have it in many mails.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import engine.email_text
from training.spam.corpora import CORPORA, read_corpus

WORD = re.compile(r"(?<![a-z'@.])[a-z]{2,16}(?![a-z'@])")
LONGEST_LIST = 12_000


def common_words(folder: Path) -> list[str]:
    """The commonest words of the corpora in `folder`, sorted."""
    counts = {name: Counter[str]() for name in CORPORA}
    for name, count in counts.items():
        for mail in read_corpus(name, folder):
            count.update(set(WORD.findall(f"{mail.subject} {mail.text}".lower())))
    total = sum(counts.values(), Counter[str]())
    widely = [w for w, n in total.items() if (sum(w in c for c in counts.values()) >= 2 and n >= 8) or n >= 60]
    # Two and three letters make a word of anything: only the commonest of them help.
    kept = [w for w in widely if len(w) > 3 or total[w] >= (1500 if len(w) == 2 else 300)]
    return sorted(sorted(kept, key=lambda w: (-total[w], w))[:LONGEST_LIST])


if __name__ == "__main__":
    target = Path(engine.email_text.__path__[0]) / "words.txt"
    target.write_text("\n".join(common_words(Path(sys.argv[1]))) + "\n", encoding="ascii")
