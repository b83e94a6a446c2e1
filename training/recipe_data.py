"""The data side of a recipe: sources, their mix, how they are prepared, and the vocabulary. Torch-free.

Reading them from TOML is `recipe.py` and `manifest.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Source:
    """One source of documents and its place in the mix."""

    name: str
    path: str  # a glob below the data folder: .txt, .md, .html, .json(l) or .parquet, also .gz, .bz2 or .xz
    licence: str
    epochs: float = 1.0  # how often pretraining reads it; 0: not at all
    sft_epochs: float = 0.0  # how often instruction tuning reads it (chats only)
    limit_mb: float = 0.0  # read at most so many megabytes of text; 0: all
    start: float = 0.0  # pretraining reads it between these two points of its way, 0 … 1
    end: float = 1.0
    url: str = ""  # where it comes from, for the card and for `data fetch`
    weight: float = 0.0  # its share of what pretraining reads, beside the others'; counts where [data] has tokens_m
    sha256: str = ""  # of the file, unpacked where it is compressed
    encoding: str = "utf-8"
    what: str = ""  # a line about it


@dataclass(frozen=True)
class QualityRecipe:
    """What makes a text worth reading (after Rae et al. 2021, table A1). Chats and short texts are not judged."""

    on: bool = True
    from_words: int = 50  # shorter texts are too short to be judged by shares
    min_word_length: float = 2.5  # characters, on average
    max_word_length: float = 10.0
    max_symbols: float = 0.1  # hash signs and ellipses a word
    min_letters: float = 0.7  # share of the words that have a letter in them
    max_bullets: float = 0.9  # share of the lines that begin with one
    max_ellipses: float = 0.3  # share of the lines that end with one
    max_repeated_lines: float = 0.3  # share of the text that stands in lines which came before
    max_compression: float = 8.0  # times that zlib makes it smaller: text that goes round in circles
    stop_words: int = 2  # of "the be to of and that have with"; counts where the language is "en"


@dataclass(frozen=True)
class DataRecipe:
    sources: tuple[Source, ...]
    manifest: str = ""  # a sources.toml beside the recipe, which knows the sources' paths, licences and weights
    tokens_m: float = 0.0  # pretraining reads so many million tokens, mixed by the sources' weights; 0: by their epochs
    valid_percent: float = 1.0  # of each source's documents, held out before anything is packed
    min_characters: int = 20  # shorter documents are dropped
    max_characters: int = 20_000  # longer ones are cut into pieces at a paragraph
    mojibake: bool = True  # mend text that was decoded wrongly ("donâ€™t"), by ftfy
    markup: bool = True  # take the text out of documents that are HTML
    language: str = ""  # keep this one only (ISO 639-1, as "en"); empty: all
    language_threshold: float = 0.2  # how likely it has to be; real text in another one is near 0, odd text above 0.3
    near_duplicates: float = 0.8  # similarity of word 5-grams from which two documents are one; 0: only equal ones are
    quality: QualityRecipe = field(default_factory=QualityRecipe)


@dataclass(frozen=True)
class TokenizerRecipe:
    vocab_size: int = 8192
    characters_mb: float = 20.0  # of training text the merges are learned from
    pattern: Literal["qwen2", "gpt2", "llama3"] = "qwen2"  # how text is split before merging
    compare: str = ""  # a folder below the data folder with another vocabulary (GPT-2's), for the report
