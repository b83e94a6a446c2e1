"""Findings of a mail for people, on the screen and on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.email_text.normalise import EmailText


def together(findings: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """(sentence, weight) of findings; those that differ only in the words they quote share a sentence and the first's
    weight, and words that are quoted twice are told once."""
    quoted: dict[str, list[str]] = {}
    weights: dict[str, float] = {}
    for sentence, weight in findings:
        start, colon, words = sentence.partition(": “")
        key = start if colon else sentence
        known = quoted.setdefault(key, [])
        words = "“" + words.removesuffix(".")
        if colon and words.lower() not in map(str.lower, known):
            known.append(words)
        weights.setdefault(key, weight)
    return [(f"{key}: {', '.join(words)}." if words else key, weights[key]) for key, words in quoted.items()]


def decisive(email: EmailText, verdict: Mapping[str, Any]) -> str:
    """A sentence about what decided the `verdict` (a row of Verdicts), where that is not the mail's text; else ""."""
    place = verdict.get("reading")
    if not isinstance(place, int) or not 0 <= place < len(email.others):
        return ""
    return f"What decided is {email.others[place].what}. By itself that is more like spam than the text you see marked."
