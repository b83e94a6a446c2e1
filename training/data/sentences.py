"""Sentence pairs: read from a table, cleaned, without doubles, split by the source sentence; and their vocabulary."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from engine.text.chat_template import SPECIAL_TOKENS
from engine.text.split_patterns import QWEN2_PATTERN
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_files import load_tokenizer
from training.data.cleaning import clean_text
from training.data.grouping import check_split, held_out
from training.data.tables import read_table
from training.data.tokenizer import tokenizer_json
from training.recipe import RecipeError, TranslateRecipe

Sentences = tuple[str, str]


@dataclass(frozen=True)
class SentencePairs:
    train: list[Sentences]
    valid: list[Sentences]
    report: dict[str, int]


def read_sentences(recipe: TranslateRecipe, root: Path) -> SentencePairs:
    """The pairs that `recipe` names below `root`; all translations of a sentence are on the same side.

    Raises:
        RecipeError: no file, wrong columns, or nothing to learn from.
    """
    report: Counter[str] = Counter(kept=0, held_out=0, empty=0, double=0)
    pairs: dict[Sentences, None] = {}
    for row in read_table(root, recipe.files, (recipe.source, recipe.target), "[translate] files"):
        pair = clean_text(str(row[recipe.source])), clean_text(str(row[recipe.target]))
        report["empty"] += not all(pair)
        report["double"] += pair in pairs
        if all(pair):
            pairs[pair] = None
        if recipe.limit and len(pairs) >= recipe.limit:
            break
    split: dict[bool, list[Sentences]] = {True: [], False: []}
    for pair in pairs:
        split[held_out(pair[0], recipe.valid_percent)].append(pair)
    report["kept"], report["held_out"] = len(pairs), len(split[True])
    check_split(len(split[False]), len(split[True]), "sentence pairs")
    return SentencePairs(split[False], split[True], dict(report))


def learn_vocabulary(pairs: list[Sentences], size: int, folder: Path) -> Tokenizer:
    """One vocabulary for both languages, learned from `pairs`; written to `folder` unless it is there already.

    Raises:
        RecipeError: the pairs hold too little for a vocabulary of this size, or the one there is of another.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        import rustbpe  # the one library only making a vocabulary needs

        learner = rustbpe.Tokenizer()
        texts = (text for pair in pairs for text in pair)
        learner.train_from_iterator(texts, size - len(SPECIAL_TOKENS), pattern=QWEN2_PATTERN)
        ranks = {bytes(token): rank for token, rank in learner.get_mergeable_ranks()}
        if len(ranks) < size - len(SPECIAL_TOKENS):
            raise RecipeError(
                f"[translate] the sentences hold only {len(ranks) + len(SPECIAL_TOKENS)} different tokens; lower "
                f"vocab_size ({size})."
            )
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(tokenizer_json(ranks), ensure_ascii=False), encoding="utf-8")
        temporary.replace(path)
    tokenizer = load_tokenizer(folder)
    if tokenizer.vocab_size != size:
        raise RecipeError(
            f"The vocabulary in {folder} has {tokenizer.vocab_size} tokens, and the recipe now wants {size}. Do the "
            "stage anew with --fresh, or put vocab_size back."
        )
    return tokenizer
