"""The messages of questions that get exactly one answer, other than a reply that streams in: a part of `protocol.py`.

Torch-free. Those for looking inside a model are in `inspecting.py`; what answers is `run/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.inspecting import Attend, Attention, Inspect, Inspected
from engine.message import Message, OneAnswer, Question
from engine.sampling_params import SamplingParams


@dataclass(frozen=True)
class Batch(Question):
    """Several chats answered together, or one several times; the replies come all at once, at the end."""

    kind: ClassVar[str] = "batch"
    chats: tuple[list[dict[str, str]], ...]
    params: SamplingParams = field(default_factory=SamplingParams)
    samples: int = 1  # replies to each chat
    plain: bool = False  # as in Generate


@dataclass(frozen=True)
class Score(Question):
    """How likely each of `continuations` is as the reply to `messages`."""

    kind: ClassVar[str] = "score"
    messages: tuple[dict[str, str], ...]
    continuations: tuple[str, ...]
    plain: bool = False  # as in Generate


@dataclass(frozen=True)
class Embed(Question):
    """A vector for each of `texts`: what the model says at last, or if `traits` what tells kinds of texts apart."""

    kind: ClassVar[str] = "embed"
    texts: tuple[str, ...]
    traits: bool = False


@dataclass(frozen=True)
class Count(Question):
    """How many tokens each of `texts` is."""

    kind: ClassVar[str] = "count"
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Classify(Question):
    """Whether each of `texts` is spam. They are `email_text.normalise`'s, made by the app."""

    kind: ClassVar[str] = "classify"
    of_model: ClassVar[bool] = False
    texts: tuple[str, ...]
    scorer: str = ""  # path of a scorer's folder; empty: the one that ships
    false_alarms: float = 0.001  # share of honest mail that may be called spam, 0 … 1
    evidence: bool = True  # whether the passages that moved a verdict are wanted, at the price of a dozen verdicts
    honest: bool = True  # and of mail that is not spam, too
    beside: tuple[float, ...] = ()  # log-odds that findings add to each text's; empty: nothing
    others: tuple[tuple[str, ...], ...] = ()  # what else each mail says (`EmailText.others`); empty: nothing


@dataclass(frozen=True)
class Label(Question):
    """Which of a classifier's labels each of `texts` has."""

    kind: ClassVar[str] = "label"
    of_model: ClassVar[bool] = False
    texts: tuple[str, ...]
    model: str  # path of the classifier's folder


@dataclass(frozen=True)
class Replies(OneAnswer):
    kind: ClassVar[str] = "replies"
    replies: tuple[dict[str, Any], ...]  # {"text", "tokens" (their number), "reason"}, those to the first chat first
    seed: int
    tokens_per_second: float  # of all replies together


@dataclass(frozen=True)
class Scores(OneAnswer):
    kind: ClassVar[str] = "scores"
    scores: tuple[list[float], ...]  # for each continuation, the log-probability of each of its tokens


@dataclass(frozen=True)
class Embeddings(OneAnswer):
    kind: ClassVar[str] = "embeddings"
    vectors: tuple[list[float], ...]


@dataclass(frozen=True)
class Counts(OneAnswer):
    kind: ClassVar[str] = "counts"
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Verdicts(OneAnswer):
    """One verdict a text, as `spam.Verdict` has it: {"answer", "probability", "threshold", "evidence"}.

    `answer` is "spam", "not spam" or "unsure"; `evidence` has [start, end, weight] rows: a span of the text that was
    sent, and its log-odds.
    """

    kind: ClassVar[str] = "verdicts"
    verdicts: tuple[dict[str, Any], ...]
    scorer: str  # its name
    scorer_kind: str  # "classical" or "neural"


@dataclass(frozen=True)
class Labels(OneAnswer):
    """One row a text: {"probabilities": one a label, "tokens": its length, "cut": tokens at its end not read}."""

    kind: ClassVar[str] = "labels"
    labels: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


_ALL: tuple[type[Message], ...] = (
    *(Batch, Score, Embed, Count, Classify, Label, Inspect, Attend),
    *(Replies, Scores, Embeddings, Counts, Verdicts, Labels, Inspected, Attention),
)
KINDS = {cls.kind: cls for cls in _ALL}
