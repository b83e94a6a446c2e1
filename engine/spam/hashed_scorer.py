"""HashedScorer: the classical spam scorer. Hashed words, word pairs and letter groups, weighed by logistic regression.

Owns the features (Weinberger et al. 2009, without the sign), their weighing (log counts times inverse document
frequency, unit length) and the folder. Numpy only. It is made by `training/spam/classical.py`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from engine.catalog import read_json
from engine.errors import ModelFolderError
from engine.spam.judge import (
    DEFAULT_FALSE_ALARMS,
    MOST_EVIDENCE,
    Evidence,
    SpamJudge,
    check_version,
    threshold_for,
)

ARCHITECTURE = "hashed-linear"
BITS = 19  # 2**19 columns
GROUPS = (3, 4, 5)  # letters that are hashed together
_WORD = re.compile(r"[^\W_]+(?:['.@-][^\W_]+)*|[^\w\s]")
_SPACE = re.compile(rb"\s+")
_PRIMES = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], dtype=np.uint32)


@dataclass(frozen=True)
class Features:
    """A text's features: columns [N], and how often each occurs [N] (int)."""

    columns: np.ndarray
    counts: np.ndarray


def word_columns(text: str, bits: int = BITS) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Columns of the words [W] and, behind them, of the pairs of neighbours [W - 1]; where the words are in `text`."""
    spans = [match.span() for match in _WORD.finditer(text)]
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow in lower case
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    hashed = np.array([zlib.crc32(lowered[a:b].encode("utf-8", "replace")) for a, b in spans], dtype=np.uint32)
    pairs = (hashed[:-1] * _PRIMES[0]) ^ (hashed[1:] * _PRIMES[1]) ^ np.uint32(0x5BD1E995)
    return _mixed(np.concatenate([hashed, pairs]), bits), spans


def letter_columns(text: str, bits: int = BITS) -> np.ndarray:
    """Columns of every group of 3, 4 and 5 neighbouring bytes of the lower-cased text, spaces included."""
    raw = b" " + _SPACE.sub(b" ", text.lower().encode("utf-8", "replace")).strip() + b" "
    letters = np.frombuffer(raw, dtype=np.uint8).astype(np.uint32) + 1
    columns = []
    for size in GROUPS:
        if len(letters) >= size:
            total = np.full(len(letters) - size + 1, size, dtype=np.uint32)
            for index in range(size):
                total = total * np.uint32(0x01000193) ^ (letters[index : index + len(total)] * _PRIMES[index])
            columns.append(total)
    return _mixed(np.concatenate(columns), bits) if columns else np.empty(0, dtype=np.uint32)


def _mixed(hashes: np.ndarray, bits: int) -> np.ndarray:
    """The upper bits of a multiplied hash (Knuth): the lower ones of crc32 alone are fine, those of sums are not."""
    hashes = (hashes ^ (hashes >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    return hashes >> np.uint32(32 - bits)


def features(text: str, bits: int = BITS) -> Features:
    """All features of `text`. Words and letter groups share the columns."""
    columns, counts = np.unique(
        np.concatenate([word_columns(text, bits)[0], letter_columns(text, bits)]), return_counts=True
    )
    return Features(columns, counts)


class HashedScorer(SpamJudge):
    """Judges by hashed words, pairs and letter groups."""

    kind: Literal["classical", "neural"] = "classical"

    def __init__(self, name: str, weights: np.ndarray, idf: np.ndarray, config: dict[str, Any]) -> None:
        """`weights` and `idf`: [2**bits]; `config`: bits, bias, slope, offset (of the calibration) and thresholds."""
        self.name, self.config = name, config
        self.bits = int(config["bits"])
        self.weights, self.idf = weights.astype(np.float32), idf.astype(np.float32)
        self.bias, self.slope, self.offset = (float(config[key]) for key in ("bias", "slope", "offset"))

    @classmethod
    def load(cls, folder: Path) -> HashedScorer:
        """The scorer in `folder`.

        Raises:
            ModelFolderError: damaged, or made for another normaliser.
        """
        config = read_json(folder / "config.json")
        check_version(config, folder)
        try:
            tensors = load_file(folder / "model.safetensors")
            scorer = cls(folder.name, tensors["weights"], tensors["idf"], config)
            if not len(scorer.weights) == len(scorer.idf) == 2**scorer.bits:
                raise ValueError("the columns do not fit")
            threshold_for(DEFAULT_FALSE_ALARMS, config["thresholds"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelFolderError(f"The spam scorer {folder} is damaged ({error}). Install homespun again.") from error
        return scorer

    def margins(self, texts: Sequence[str]) -> np.ndarray:
        """[texts], float64: log-odds before calibration."""
        return np.array([self._margin(text)[0] for text in texts], dtype=np.float64)

    def _margin(self, text: str) -> tuple[float, float]:
        """(log-odds before calibration, what a feature's value is divided by)."""
        found = features(text, self.bits)
        values = (1 + np.log(found.counts)) * self.idf[found.columns]
        length = float(np.sqrt(np.square(values).sum())) or 1.0
        return float(self.weights[found.columns] @ values) / length + self.bias, length

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[texts]: how likely each is spam, calibrated (Platt 1999)."""
        return 1 / (1 + np.exp(-(self.slope * self.margins(texts) + self.offset)))

    def evidence(self, text: str) -> tuple[Evidence, ...]:
        """The words that moved the verdict most, by their own share of the sum: exact, because the model is linear.

        A word's share is that of itself, half of its pairs, and the letter groups that lie within it.
        """
        columns, spans = word_columns(text, self.bits)
        if not spans:
            return ()
        _, length = self._margin(text)
        value = self.weights * self.idf
        words, pairs = value[columns[: len(spans)]], value[columns[len(spans) :]] / 2
        share = words.astype(np.float64)
        share[:-1] += pairs
        share[1:] += pairs
        for index, (start, end) in enumerate(spans):
            share[index] += value[letter_columns(text[start:end], self.bits)].sum()
        share *= self.slope / length
        best = np.argsort(-np.abs(share))[: MOST_EVIDENCE * 2]
        kept = [Evidence(spans[i][0], spans[i][1], round(float(share[i]), 4)) for i in best if abs(share[i]) > 0.01]
        return tuple(e for e in kept if text[e.start : e.end].strip(".,;:!?-"))[:MOST_EVIDENCE]
