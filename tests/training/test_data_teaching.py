"""The tokenizers to read, against the book's worked examples and the ones that are used."""

from __future__ import annotations

import rustbpe
import tiktoken

from training.data.teaching import BPETokenizer, WordTokenizer, count_pairs, merge

SAMPLE = "the cat in the hat"
TEXT = (
    'I HAD always thought Jack Gisburn rather a cheap genius--though a good fellow enough. "It\'s the last he painted" '
    "she said, and the café über Öl was “full”: 12,345 naïve 世界 people. The thought, the though, thorough thoughts. "
) * 3


def test_words_are_split_as_in_the_book() -> None:
    assert WordTokenizer.split("Hello, world. Is this-- a test?") == [
        *["Hello", ",", "world", ".", "Is", "this", "--", "a", "test", "?"]
    ]


def test_an_unknown_word_is_unk_and_documents_are_kept_apart() -> None:
    tokenizer = WordTokenizer.learn("In the sunlit terraces of the palace. Do you like tea?")
    text = "Hello, do you like tea? <|endoftext|> In the sunlit terraces of the palace."
    known = WordTokenizer.split(text)
    assert tokenizer.decode(tokenizer.encode(text)) == (
        "<|unk|> <|unk|> <|unk|> you like tea? <|endoftext|> In the sunlit terraces of the palace."
    )
    assert len(tokenizer.encode(text)) == len(known)
    assert list(tokenizer.token_of.values())[-2:] == ["<|endoftext|>", "<|unk|>"]
    assert tokenizer.decode(tokenizer.encode("the  palace ,  tea ?")) == "the palace <|unk|> tea?"


def test_the_books_example_of_merging() -> None:
    """ "the cat in the hat": "th" is merged first, then "the"; after that "at" is the most frequent pair."""
    words = BPETokenizer({}).pattern.findall(SAMPLE)
    assert words == ["the", " cat", " in", " the", " hat"]
    tokenizer = BPETokenizer.learn(SAMPLE, 256 + 3)
    learned = [tokenizer.bytes_of[number] for number in (256, 257, 258)]
    assert learned == [b"at", b"he", b"the"]
    assert [tokenizer.bytes_of[t] for t in tokenizer.encode("the that")] == [b"the", b" ", b"t", b"h", b"at"]


def test_merging_goes_from_left_to_right() -> None:
    assert merge((1, 1, 1, 2, 1, 1), (1, 1), 9) == (9, 1, 2, 9)
    assert count_pairs({(1, 2, 1, 2): 3})[(1, 2)] == 6  # type: ignore[arg-type]


def test_what_is_encoded_comes_back() -> None:
    tokenizer = BPETokenizer.learn(TEXT, 400)
    for text in (TEXT, "", " ", "new 🎉 words\n\n\tand\x00 control", "Ünïcödé"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(TEXT)) < len(TEXT.encode()) / 2
    assert tokenizer.decode(tokenizer.encode("世")[:1]) == "\ufffd", "half a character"


def test_it_encodes_as_tiktoken_does() -> None:
    tokenizer = BPETokenizer.learn(TEXT, 500)
    ranks = {data: number for number, data in tokenizer.bytes_of.items()}
    reference = tiktoken.Encoding("r", pat_str=r" ?\w+| ?[^\w\s]+|\s+", mergeable_ranks=ranks, special_tokens={})
    for text in (TEXT, "The thoroughly thoughtful cat", "unseen wörds 99"):
        assert tokenizer.encode(text) == reference.encode_ordinary(text)


def test_it_learns_what_rustbpe_learns() -> None:
    """Pairs of equal count may be taken in another order, so the text has none that matter."""
    text = " ".join(word for i, word in enumerate(["low", "lower", "newest", "widest"]) for _ in range(20 + 7 * i * i))
    ours = BPETokenizer.learn(text, 256 + 12)
    theirs = rustbpe.Tokenizer()
    theirs.train_from_iterator(iter([text]), 256 + 12, pattern=r" ?\w+| ?[^\w\s]+|\s+")
    ranks = {bytes(token): rank for token, rank in theirs.get_mergeable_ranks()}
    assert {ours.bytes_of[n] for n in range(256, 268)} == {token for token, rank in ranks.items() if rank >= 256}
