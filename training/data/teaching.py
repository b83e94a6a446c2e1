"""Tokenizers to read: the two that Raschka's book builds up to byte-level BPE (2024, chapter 2 and its bonus material).

Written to be understood, in plain Python, one thought a function. Real vocabularies are learned by `tokenizer.py` and
used by `engine/text/tokenizer.py`, which do the same a thousand times faster; the tests hold these two up against them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

UNKNOWN = "<|unk|>"
END_OF_TEXT = "<|endoftext|>"

Pair = tuple[int, int]


class WordTokenizer:
    """Every word and every punctuation mark is a token; what was not in the text it learned from is `<|unk|>`."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.token_of = dict(enumerate(tokens))
        self.id_of = {token: number for number, token in self.token_of.items()}

    @classmethod
    def learn(cls, text: str) -> WordTokenizer:
        """A tokenizer for the words of `text`, in alphabetical order, and the two special tokens behind them."""
        return cls([*sorted(set(cls.split(text))), END_OF_TEXT, UNKNOWN])

    @staticmethod
    def split(text: str) -> list[str]:
        """`text` in words and punctuation marks; the spaces between them are not kept."""
        parts = re.split(r'(<\|endoftext\|>|[,.:;?_!"()\']|--|\s)', text)
        return [part for part in (part.strip() for part in parts) if part]

    def encode(self, text: str) -> list[int]:
        return [self.id_of.get(word, self.id_of[UNKNOWN]) for word in self.split(text)]

    def decode(self, ids: list[int]) -> str:
        """The words with single spaces between them, and none before a mark. The old spaces are lost for good."""
        text = " ".join(self.token_of[number] for number in ids)
        return re.sub(r'\s+([,.:;?!"()\'])', r"\1", text)


class BPETokenizer:
    """Byte-pair encoding (Gage 1994; Sennrich et al. 2016), over bytes as in GPT-2 (Radford et al. 2019).

    A token is a string of bytes. At first there are the 256 single ones, so that nothing is ever unknown. Then the pair
    of neighbours that stands most often in the text becomes a token of its own, again and again.
    """

    def __init__(self, merges: dict[Pair, int], pattern: str = r" ?\w+| ?[^\w\s]+|\s+") -> None:
        self.merges = merges  # pair of ids → the id of the token they make, in the order in which they were learned
        self.pattern = re.compile(pattern)
        self.bytes_of = {number: bytes([number]) for number in range(256)}
        for (left, right), merged in merges.items():
            self.bytes_of[merged] = self.bytes_of[left] + self.bytes_of[right]

    @classmethod
    def learn(cls, text: str, vocab_size: int, pattern: str = r" ?\w+| ?[^\w\s]+|\s+") -> BPETokenizer:
        """Learn `vocab_size` - 256 merges from `text`.

        Text is first split into words, each with the space before it; no token ever crosses from one into the next.
        Equal words are counted once and weighed by how often they stand there, which is all the cleverness there is.
        """
        tokenizer = cls({}, pattern)
        words = Counter(tuple(word.encode()) for word in tokenizer.pattern.findall(text))
        for new in range(256, vocab_size):
            pairs = count_pairs(words)
            if not pairs:
                break  # every word is one token
            # The most frequent pair; of equally frequent ones the smallest, so that the result is always the same.
            best = min(pairs, key=lambda pair: (-pairs[pair], pair))
            words = Counter({merge(word, best, new): count for word, count in words.items()})
            tokenizer.merges[best] = new
        return cls(tokenizer.merges, pattern)

    def encode(self, text: str) -> list[int]:
        return [token for word in self.pattern.findall(text) for token in self._encode_word(word)]

    def _encode_word(self, word: str) -> tuple[int, ...]:
        """Merge what was learned first, first: only then do the later merges find the tokens they are made of."""
        tokens = tuple(word.encode())
        while len(tokens) > 1:
            best = min(pairwise(tokens), key=lambda pair: self.merges.get(pair, 1 << 60))
            if best not in self.merges:
                break
            tokens = merge(tokens, best, self.merges[best])
        return tokens

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`. A token may be a part of a character, so bytes are joined before they are decoded."""
        return b"".join(self.bytes_of[number] for number in ids).decode("utf-8", "replace")


def count_pairs(words: Counter[tuple[int, ...]]) -> Counter[Pair]:
    """How often each pair of neighbours stands in `words`, which are counted themselves."""
    pairs: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            pairs[pair] += count
    return pairs


def merge(tokens: tuple[int, ...], pair: Pair, new: int) -> tuple[int, ...]:
    """`tokens` with every `pair` in it replaced by the token `new`, from left to right."""
    result: list[int] = []
    for token in tokens:
        if result and (result[-1], token) == pair:
            result[-1] = new
        else:
            result.append(token)
    return tuple(result)
