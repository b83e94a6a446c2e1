"""Prototypes: a text belongs to the label whose examples it lies nearest to, in the language model's vectors.

After Snell et al. (2017): a label is the mean of its examples' vectors. Each dimension is first brought to mean 0 and
deviation 1 over the examples, because a decoder's vectors all point one way. Plain Python, for at most a hundred
examples; how sure it may be is fitted with every example left out once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Vector = Sequence[float]
SHARPNESS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # of the softmax over cosines


class Prototypes:
    """`vectors` [examples, C] and the label of each; every one of `labels` needs two examples."""

    def __init__(self, vectors: Sequence[Vector], names: Sequence[str], labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        count = len(vectors)
        self._mean = [sum(column) / count for column in zip(*vectors, strict=True)]
        columns = zip(*vectors, strict=True)
        spread = [math.sqrt(sum((x - m) ** 2 for x in c) / count) for c, m in zip(columns, self._mean, strict=True)]
        self._scale = [1 / (s + 1e-6) for s in spread]
        rows = [self._standard(vector) for vector in vectors]
        members = {label: [row for row, name in zip(rows, names, strict=True) if name == label] for label in labels}
        sums = {label: [sum(column) for column in zip(*group, strict=True)] for label, group in members.items()}
        self._centres = [_unit(sums[label]) for label in labels]
        left_out = []
        for row, name in zip(rows, names, strict=True):
            own = _unit([total - x for total, x in zip(sums[name], row, strict=True)])
            centres = [own if label == name else c for label, c in zip(labels, self._centres, strict=True)]
            left_out.append(([_dot(row, centre) for centre in centres], self.labels.index(name)))
        self.right = sum(max(range(len(c)), key=c.__getitem__) == own for c, own in left_out) / count
        self._sharpness = min(SHARPNESS, key=lambda sharpness: _loss(left_out, sharpness))

    def probabilities(self, vector: Vector) -> list[float]:
        """How likely each label is for a text with `vector` [C]."""
        row = self._standard(vector)
        return softmax([self._sharpness * _dot(row, centre) for centre in self._centres])

    @property
    def tells(self) -> bool:
        """Whether the examples lie apart at all: half way from guessing to always right, each left out once."""
        return self.right >= (1 + 1 / len(self.labels)) / 2

    def _standard(self, vector: Vector) -> list[float]:
        return _unit([(x - m) * s for x, m, s in zip(vector, self._mean, self._scale, strict=True)])


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    raised = [math.exp(score - top) for score in scores]
    return [value / sum(raised) for value in raised]


def _loss(left_out: Sequence[tuple[list[float], int]], sharpness: float) -> float:
    """Cross-entropy in nats."""
    return -sum(math.log(softmax([sharpness * c for c in cosines])[own] + 1e-9) for cosines, own in left_out)


def _dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _unit(vector: Vector) -> list[float]:
    length = math.sqrt(_dot(vector, vector)) or 1.0
    return [x / length for x in vector]
