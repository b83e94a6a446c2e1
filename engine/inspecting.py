"""The messages for looking inside a model: what it thought of each token, and what each token looked at.

Torch-free, a part of `questions.py`. What answers them is `run/inside.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.message import OneAnswer, Question


@dataclass(frozen=True)
class Inspect(Question):
    """What the model reads before a reply, token by token, and how likely each token of the reply was."""

    kind: ClassVar[str] = "inspect"
    messages: tuple[dict[str, str], ...]  # what the reply answers, as in Generate
    reply: str = ""
    tokens: tuple[int, ...] = ()  # the reply's own tokens, where they are known: a text may be cut up otherwise
    alternatives: int = 8  # likeliest tokens told with each one
    max_tokens: int = 512  # as it was when the reply was made: so much was left free for it
    plain: bool = False  # as in Generate


@dataclass(frozen=True)
class Inspected(OneAnswer):
    """`prompt` has {"token", "text", "special"}; `reply` has what `Tokens` has, `then` the same of what would come."""

    kind: ClassVar[str] = "inspected"
    prompt: tuple[dict[str, Any], ...]
    reply: tuple[dict[str, Any], ...]
    then: dict[str, Any]  # of the likeliest token behind the reply
    end_tokens: tuple[int, ...]  # those that end a reply
    dropped_messages: int  # oldest messages left out because they did not fit the context
    left_out: int  # tokens at the reply's end that do not fit the context


@dataclass(frozen=True)
class Attend(Question):
    """What the token at place `position` of `tokens` looks at."""

    kind: ClassVar[str] = "attend"
    tokens: tuple[int, ...]  # the whole context, as `Inspected` tells it: prompt, then reply
    position: int  # from 0


@dataclass(frozen=True)
class Attention(OneAnswer):
    """Attention weights of one token, by layer, head and place.

    `weights` is base64 of layers · heads · columns bytes, in this order; a byte b stands for the weight (b / 255)².
    A column is the sum over `span` neighbouring places, one unless the context is very long.
    """

    kind: ClassVar[str] = "attention"
    position: int
    layers: int
    heads: int  # a layer
    span: int  # places a column
    weights: str
