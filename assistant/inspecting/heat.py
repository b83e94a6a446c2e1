"""Heat: the attention weights of one token, unpacked, by layer and head; the rows one can look at."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from engine.questions import Attention


@dataclass(frozen=True)
class Row:
    """What is looked at together: one head, or a layer's heads averaged where `head` is None."""

    layer: int  # from 0
    head: int | None = None

    @property
    def name(self) -> str:
        return f"layer {self.layer + 1}" if self.head is None else f"  head {self.head + 1}"


class Heat:
    """Weights of the token at `position` over the `position` + 1 places it sees.

    Raises:
        ValueError: the message's bytes are not as many as it says.
    """

    def __init__(self, message: Attention) -> None:
        self.position, self.span = message.position, message.span
        self.layers, self.heads = message.layers, message.heads
        self._bytes = base64.b64decode(message.weights)
        self.columns = -(-(message.position + 1) // message.span)
        if len(self._bytes) != self.layers * self.heads * self.columns:
            raise ValueError("The engine's attention weights are not as many as they should be.")

    def weights(self, row: Row) -> list[float]:
        """Weights of a row by column, which is one place, or `span` places together in a very long context."""
        if row.head is not None:
            return self._head(row.layer, row.head)
        heads = [self._head(row.layer, head) for head in range(self.heads)]
        return [sum(column) / self.heads for column in zip(*heads, strict=True)]

    def _head(self, layer: int, head: int) -> list[float]:
        start = (layer * self.heads + head) * self.columns
        return [(step / 255) ** 2 for step in self._bytes[start : start + self.columns]]

    def of_places(self, row: Row) -> list[float]:
        """The row's weight for each place; places that share a column share its weight evenly."""
        return [w / self.span for w in self.weights(row) for _ in range(self.span)][: self.position + 1]

    def rows(self, open_layer: int) -> list[Row]:
        """All layers, and below `open_layer` its heads."""
        rows = []
        for layer in range(self.layers):
            rows.append(Row(layer))
            if layer == open_layer:
                rows += [Row(layer, head) for head in range(self.heads)]
        return rows


def relative(weights: Sequence[float]) -> list[float]:
    """`weights` against their strongest: of hundreds of places, even the one looked at most may have a tenth."""
    top = max(weights, default=0.0)
    return [weight / top for weight in weights] if top else list(weights)


def strongest(weights: Sequence[float], count: int) -> list[tuple[int, float]]:
    """(column, weight) of the `count` largest, the largest first."""
    order = sorted(range(len(weights)), key=lambda at: -weights[at])
    return [(at, weights[at]) for at in order[:count]]
