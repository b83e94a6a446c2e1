"""How well a model predicts given texts: bits per byte, which compares across vocabularies, and perplexity a token.

The log-probabilities themselves are `engine/run/scoring.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine.files.model_folder import LoadedModel
from engine.run.fuse import Decoder
from engine.run.scoring import token_log_probabilities
from engine.text.chat_template import END_OF_TEXT, ChatTemplate
from engine.text.tokenizer import Tokenizer
from training.data.documents import Document, read_source
from training.recipe import RecipeError, Source


@dataclass
class TextScore:
    """Sums over texts; what is not a token of the text itself (a chat's special tokens, say) is in none of them."""

    nats: float = 0.0
    tokens: int = 0
    bytes: int = 0
    documents: int = 0

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / max(self.bytes, 1)

    @property
    def perplexity(self) -> float:
        """e to the mean loss a token (in nats)."""
        return math.exp(min(self.nats / max(self.tokens, 1), 700.0))

    def to_dict(self) -> dict[str, Any]:
        return {
            "bits_per_byte": round(self.bits_per_byte, 4),
            "perplexity": round(self.perplexity, 3),
            "tokens": self.tokens,
            "bytes": self.bytes,
            "documents": self.documents,
        }


def beginning(tokenizer: Tokenizer) -> list[int]:
    """What a text's first word is predicted from: the token that a text begins with, or the one that ends the text
    before; none in a vocabulary without either, whose texts' first tokens then do not count."""
    if tokenizer.bos is not None:
        return [tokenizer.bos]
    end = tokenizer.special_tokens.get(END_OF_TEXT)
    return [end] if end is not None else []


def document_tokens(document: Document, tokenizer: Tokenizer, template: ChatTemplate | None) -> list[int]:
    """A text behind its beginning, or a chat as the model's own template writes it."""
    if "messages" in document and template is not None:
        return [*beginning(tokenizer), *template.encode(document["messages"])]
    texts = [m["content"] for m in document["messages"]] if "messages" in document else [document["text"]]
    return [*beginning(tokenizer), *tokenizer.encode("\n".join(texts))]


def score_documents(loaded: LoadedModel, documents: Iterable[Document], limit: int = 0) -> TextScore:
    """The model's loss on `documents`, the first `limit` of their tokens (0: all)."""
    total = TextScore()
    for document in documents:
        tokens = document_tokens(document, loaded.tokenizer, loaded.template)
        if limit:
            tokens = tokens[: limit - total.tokens + 1]
        add_score(total, loaded.model, loaded.tokenizer, tokens)
        if limit and total.tokens >= limit:
            break
    return total


def add_score(total: TextScore, model: Decoder, tokenizer: Tokenizer, tokens: list[int]) -> None:
    """Add the text of `tokens` to `total`; the first token has no probability and does not count."""
    if len(tokens) < 2:
        return
    total.documents += 1
    for token, log_probability in zip(tokens[1:], token_log_probabilities(model, tokens), strict=True):
        if size := len(tokenizer.token_bytes(token)):
            total.nats -= log_probability
            total.tokens += 1
            total.bytes += size


def score_files(loaded: LoadedModel, files: Iterable[Path], limit: int = 0) -> dict[str, dict[str, Any]]:
    """Each file's numbers by its name: a text (documents apart by <|endoftext|>), or .jsonl of texts or chats.

    Raises:
        RecipeError: a file is missing, is not what its name says, or has no text in it.
    """
    result = {}
    for file in tqdm(list(files), desc="perplexity", mininterval=1.0, disable=None):
        documents = read_source(Source(file.name, file.name, ""), file.parent)
        score = score_documents(loaded, documents, limit)
        if not score.tokens:
            raise RecipeError(f"{file} has no text that could be measured.")
        result[file.name] = score.to_dict()
    return result
