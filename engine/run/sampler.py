"""Sampler: logits → the next token. Pure functions of their arguments; the random generator is one of them.

The filters work one after the other, in the field's usual order: repetition penalty, temperature, top-k, top-p, min-p.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from engine.protocol import SamplingParams

# Nearly always the nucleus is among so many tokens, and picking them is far cheaper than sorting a vocabulary.
HEAD = 256


class Seen:
    """The different tokens of a growing reply, as `penalize` wants them: gathered once, not again for every token."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._known: set[int] = set()
        self._ids = torch.empty(256, dtype=torch.int64)
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        if token in self._known:
            return
        if len(self._known) == len(self._ids):
            self._ids = torch.cat((self._ids, torch.empty_like(self._ids)))
        self._ids[len(self._known)] = token
        self._known.add(token)

    def __len__(self) -> int:
        return len(self._known)

    def ids(self) -> Tensor:
        """[different tokens], int64, in the order they came."""
        return self._ids[: len(self._known)]


def sample(
    logits: Tensor, params: SamplingParams, seen: list[int] | Seen, generator: torch.Generator | None = None
) -> int:
    """The next token for `logits` [vocabulary]; `seen` are the tokens the repetition penalty counts.

    One random number in [0, 1) chooses, by where it falls among the cumulated probabilities.
    """
    if params.repetition_penalty != 1 and len(seen):
        logits = penalize(logits, seen, params.repetition_penalty)
    if params.temperature == 0:
        return int(logits.argmax())
    probabilities, tokens = distribution(logits, params)
    cumulated = probabilities.cumsum(0)
    point = torch.rand(1, generator=generator) * cumulated[-1]
    return int(tokens[min(int(torch.searchsorted(cumulated, point, right=True)), len(tokens) - 1)])


def penalize(logits: Tensor, seen: list[int] | Seen, penalty: float) -> Tensor:
    """Make `seen` tokens less likely: positive logits divided, negative ones multiplied (Keskar et al. 2019)."""
    index = (seen.ids() if isinstance(seen, Seen) else torch.tensor(sorted(set(seen)))).to(logits.device)
    values = logits[index]
    return logits.index_copy(0, index, torch.where(values > 0, values / penalty, values * penalty))


def distribution(logits: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """(probabilities, tokens) that are left after the filters, fp32 and int64 on the CPU, likeliest first; all if no
    filter is on, as they stand.

    `temperature` must be above 0. Nucleus sampling: Holtzman et al. 2020; min-p: Nguyen et al. 2024.
    """
    probabilities = torch.softmax(logits.float().cpu() / params.temperature, dim=-1)
    size = probabilities.numel()
    if not params.top_k and params.top_p == 1 and params.min_p == 0:
        return probabilities, torch.arange(size)
    values, tokens = torch.topk(probabilities, min(params.top_k or HEAD, size))
    if not params.top_k and not _covers(values, params) and size > HEAD:
        values, tokens = torch.sort(probabilities, descending=True)
    if params.top_k:
        values = values / values.sum()
    if params.top_p < 1:
        # A token stays while the ones before it hold less than top_p; so the likeliest always stays.
        values = values[values.cumsum(0) - values < params.top_p]
    if params.min_p > 0:
        values = values[values >= params.min_p * values[0]]
    return values / values.sum(), tokens[: len(values)]


def _covers(values: Tensor, params: SamplingParams) -> bool:
    """Whether everything the filters keep is certainly among these likeliest tokens."""
    nucleus = params.top_p < 1 and float(values.sum()) >= params.top_p
    return nucleus or (params.min_p > 0 and float(values[-1]) < params.min_p * float(values[0]))
