"""Filters: whether a cleaned document is worth keeping, and if not, why: its language, and rules of quality.

The rules are those of Gopher's corpus (Rae et al. 2021, "Scaling Language Models", table A1), with compression in the
place of its many counts of repeated phrases. The numbers are the recipe's. Duplicates are `duplicates.py`.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from functools import lru_cache
from typing import Any

from training.data.documents import Document, as_text
from training.recipe import DataRecipe, QualityRecipe, RecipeError

STOP_WORDS = re.compile(r"\b(?:the|be|to|of|and|that|have|with)\b", re.IGNORECASE)
_NO_LETTER = re.compile(r"(?<!\S)[^A-Za-z\u0080-\U0010ffff\s]+(?!\S)")
_LETTERS = bytes(byte for byte in range(256) if byte > 127 or chr(byte).isalpha() or chr(byte).isspace())
WORD_COST = 1.5  # bytes
_BULLETS = ("•", "-", "*", "‣", "–", "·")
SAMPLE = 600  # characters that the identifier reads at a text's beginning, and as many in its middle
TELLABLE = 60  # characters; a shorter text may be of any language and is kept


def reason_to_drop(document: Document, recipe: DataRecipe) -> str | None:
    """Why `document` is left out, in one word for the report; None where it is kept."""
    text = as_text(document)
    if len(text) < recipe.min_characters:
        return "short"
    if recipe.language and len(text) >= TELLABLE and probability(text, recipe.language) < recipe.language_threshold:
        return "language"
    if recipe.quality.on and "text" in document:
        return poor(text, recipe.quality, english=recipe.language == "en")
    return None


def poor(text: str, q: QualityRecipe, english: bool = False) -> str | None:
    """The first rule of quality that `text` breaks, None where it breaks none."""
    words = text.split()
    if len(words) < q.from_words:
        return None
    lines = [line for line in text.split("\n") if line]
    size = len(text) - len(words) + 1  # most spaces are single
    if not q.min_word_length <= size / len(words) <= q.max_word_length:
        return "word_length"
    if (text.count("#") + text.count("…") + text.count("...")) / len(words) > q.max_symbols:
        return "symbols"
    data = text.encode("utf-8", "replace")
    most = len(words) * (1 - q.min_letters)
    # As many words without a letter as there are other characters: counted first, for that is much faster.
    if len(data.translate(None, _LETTERS)) > most and len(_NO_LETTER.findall(text)) > most:
        return "few_letters"
    if sum(line.startswith(_BULLETS) for line in lines) / len(lines) > q.max_bullets:
        return "bullets"
    if sum(line.endswith(("…", "...")) for line in lines) / len(lines) > q.max_ellipses:
        return "ellipses"
    if sum(len(line) * (times - 1) for line, times in Counter(lines).items()) / len(text) > q.max_repeated_lines:
        return "repeated_lines"
    # For a word that it has not seen yet zlib writes hardly less than a byte and a half, so many words need no trying.
    varied = WORD_COST * len(set(words)) * q.max_compression > len(data)
    if not varied and len(data) / len(zlib.compress(data, 1)) > q.max_compression:
        return "repetitive"
    if english and len(STOP_WORDS.findall(text[:5000])) < q.stop_words:
        return "stop_words"
    return None


def probability(text: str, language: str) -> float:
    """How likely `text` is in `language` (ISO 639-1 code), as far as its beginning and middle tell."""
    middle = len(text) // 2
    sample = text if len(text) <= 2 * SAMPLE else text[:SAMPLE] + "\n" + text[middle : middle + SAMPLE]
    return float(dict(_identifier().rank(sample)).get(language, 0.0))


def check_language(language: str) -> None:
    """Refuse a language that the identifier does not know.

    Raises:
        RecipeError: it does not.
    """
    known = sorted(set(map(str, _identifier().labels)))
    if language and language not in known:
        raise RecipeError(f"[data] language: {language!r} is not known; known are {', '.join(known)}.")


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """The naive Bayes identifier of Lui and Baldwin (2012), whose model comes in the package: nothing is downloaded."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
