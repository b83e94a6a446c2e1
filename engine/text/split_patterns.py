"""The patterns by which byte-level BPE splits text into words before merging, and where a file says which it wants.

Facts of the formats: the patterns of GPT-2, Qwen2/3, Llama 3 and SmolLM2, known to transformers and llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = QWEN2_PATTERN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
# SmolLM2 takes every digit for itself and then splits what is between as GPT-2 does. One pattern does both: white space
# before a digit is at the end of what is between, so it is not shortened by one there as it is before a word.
DIGITS_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"

# GGUF's `tokenizer.ggml.pre` → pattern.
GGUF_PATTERNS = {
    "gpt-2": GPT2_PATTERN,
    "default": GPT2_PATTERN,
    "qwen2": QWEN2_PATTERN,
    "llama-bpe": LLAMA3_PATTERN,
    "llama3": LLAMA3_PATTERN,
    "llama-v3": LLAMA3_PATTERN,
    "smollm": DIGITS_PATTERN,
}


def pattern_of(data: Mapping[str, Any]) -> str | None:
    """The one pattern that does what a `tokenizer.json` does before merging; None where no single one does."""
    pre_tokenizer = data.get("pre_tokenizer") or {}
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    if any(step.get("add_prefix_space") for step in steps):
        return None
    match [step.get("type") for step in steps]:
        case ["ByteLevel"] if steps[0].get("use_regex", True):
            return GPT2_PATTERN
        case ["Split", "ByteLevel"] if not steps[1].get("use_regex", True):
            split = steps[0]
            alone = split.get("behavior") == "Isolated" and not split.get("invert")
            return split["pattern"].get("Regex") if alone else None
        case ["Digits", "ByteLevel"] if steps[0].get("individual_digits") and steps[1].get("use_regex", True):
            return DIGITS_PATTERN
    return None
