"""Instructions that a program can check, in the manner of IFEval (Zhou et al. 2023): did the reply do as it was told?

Each verifier is a function of the reply and the instruction's values. The instructions themselves are
`instructions.toml`; asking the model is `instructions.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from training.errors import TrainingError

Check = Callable[..., bool]


def words(text: str) -> list[str]:
    return re.findall(r"[\w’'-]+", text)


def sentences(text: str) -> list[str]:
    """Runs of text that end in a full stop, a question or exclamation mark, or the end."""
    return [part for part in re.split(r"(?<=[.!?])[\"')\]]*\s+", text.strip()) if words(part)]


def paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


def bullets(text: str) -> list[str]:
    """Lines that begin with a dash, a star, a dot, or a number and a stop."""
    return re.findall(r"^\s*(?:[-*•]|\d+[.)])\s+\S.*$", text, re.MULTILINE)


def items(text: str) -> list[str]:
    """What a list names: its bullets, or else the parts between commas and "and"."""
    if found := bullets(text):
        return found
    line = text.strip().rstrip(".!")
    line = line.rpartition(":")[2]
    return [part for part in re.split(r",\s*(?:and\s+|or\s+)?|\s+and\s+|\s+or\s+|\n+", line) if part.strip()]


def _between(count: int, at_least: int = 0, at_most: int = 10**9, exactly: int | None = None) -> bool:
    return count == exactly if exactly is not None else at_least <= count <= at_most


def _has(text: str, term: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(term.lower())}(?!\w)", text.lower()) is not None


def _json(text: str, keys: list[str] | None = None) -> bool:
    """JSON and nothing else, but for a fence around it; with `keys`, an object that has them."""
    inside = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", text, re.DOTALL)
    try:
        data = json.loads(inside[1] if inside else text)
    except ValueError:
        return False
    return keys is None or (isinstance(data, dict) and set(keys) <= data.keys())


def plain(text: str) -> str:
    """Lower case, without the quotes around it and the stop behind it."""
    return text.strip().strip("\"'“”‘’`*").rstrip(".!").strip().lower()


VERIFIERS: Mapping[str, Check] = {
    # Counts: at_least, at_most, exactly.
    "words": lambda text, **c: _between(len(words(text)), **c),
    "sentences": lambda text, **c: _between(len(sentences(text)), **c),
    "paragraphs": lambda text, **c: _between(len(paragraphs(text)), **c),
    "bullets": lambda text, **c: _between(len(bullets(text)), **c),
    "items": lambda text, **c: _between(len(items(text)), **c),
    "characters": lambda text, **c: _between(len(text), **c),
    "mentions": lambda text, term, **c: _between(len(re.findall(rf"\b{re.escape(term)}\b", text, re.I)), **c),
    # What stands in it.
    "contains": lambda text, terms: all(_has(text, term) for term in terms),
    "contains_any": lambda text, terms: any(_has(text, term) for term in terms),
    "avoids": lambda text, terms: not any(_has(text, term) for term in terms),
    "matches": lambda text, pattern: re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None,
    # Format.
    "begins": lambda text, what: text.lstrip().lower().startswith(what.lower()),
    "ends": lambda text, what: text.rstrip().lower().endswith(what.lower()),
    "lower_case": lambda text: text == text.lower() and any(c.isalpha() for c in text),
    "upper_case": lambda text: text == text.upper() and any(c.isalpha() for c in text),
    "no_commas": lambda text: "," not in text,
    "quoted": lambda text: text.strip()[:1] in "\"“" and text.strip()[-1:] in "\"”" and len(text.strip()) > 2,
    "title": lambda text: re.search(r"<<[^\n<>]+>>", text) is not None,
    "question": lambda text: text.rstrip().endswith("?"),
    "json": _json,
    "number": lambda text: re.fullmatch(r"[-+]?\d[\d,]*(\.\d+)?", text.strip().rstrip(".")) is not None,
    # The answer and nothing else.
    "exact": lambda text, answers: plain(text) in {plain(answer) for answer in answers},
}  # fmt: skip


def verify(name: str, values: Mapping[str, Any], reply: str) -> bool:
    """Whether `reply` keeps to the instruction; an empty one keeps to none.

    Raises:
        TrainingError: there is no such verifier, or it takes other values.
    """
    if name not in VERIFIERS:
        raise TrainingError(f"There is no verifier {name!r}; known are {', '.join(VERIFIERS)}.")
    try:
        return bool(reply.strip()) and VERIFIERS[name](reply, **values)
    except TypeError as error:
        raise TrainingError(f"The verifier {name} does not take {dict(values)} ({error}).") from error


def loosened(reply: str) -> list[str]:
    """The reply as it is, and without what models like to put around it: stars, a first line, a last line.

    IFEval's loose measure: an instruction is kept if any of these keeps it.
    """
    lines = reply.split("\n")
    kept = [reply, "\n".join(lines[1:]).strip(), "\n".join(lines[:-1]).strip(), "\n".join(lines[1:-1]).strip()]
    return [text for one in kept for text in (one, one.replace("*", ""))]
