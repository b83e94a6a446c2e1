"""SamplingParams: how tokens are chosen, as data. A part of `protocol.py`; what does it is `run/sampler.py`."""

from __future__ import annotations

from dataclasses import dataclass

HIGHEST = 2**63  # what a seed is below: the numbers that SQLite and torch take


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen. `temperature` 0 is greedy; 0 or 1 switches a filter off (see each field)."""

    temperature: float = 0.7
    top_k: int = 0  # keep the k most likely tokens; 0: all
    top_p: float = 0.95  # keep the smallest set with this much probability; 1: all
    min_p: float = 0.0  # drop tokens below this share of the likeliest one's probability; 0: none
    repetition_penalty: float = 1.1  # divide (multiply) positive (negative) logits of seen tokens; 1: off
    max_tokens: int = 512
    seed: int | None = None  # None: a new one each time, reported in Started
    stop: tuple[str, ...] = ()  # strings that end the reply and are not part of it

    def __post_init__(self) -> None:
        checks = (
            (self.temperature >= 0, "temperature must be 0 or more"),
            (self.top_k >= 0, "top_k must be 0 or more"),
            (0 < self.top_p <= 1, "top_p must be above 0 and at most 1"),
            (0 <= self.min_p <= 1, "min_p must be between 0 and 1"),
            (self.repetition_penalty > 0, "repetition_penalty must be above 0"),
            (self.max_tokens >= 1, "max_tokens must be 1 or more"),
            (self.seed is None or 0 <= self.seed < HIGHEST, f"seed must be between 0 and {HIGHEST - 1}"),
        )
        for ok, sentence in checks:
            if not ok:
                raise ValueError(sentence)
        object.__setattr__(self, "stop", tuple(s for s in self.stop if s))
