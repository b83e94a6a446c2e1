"""The typed messages between the app and the engine worker: one JSON object a line, over stdin and stdout.

Owns the message classes and their encoding; torch-free. It opens no pipe and starts no process.

A conversation over the pipe:

    app → worker                    worker → app
    Load(model="/path")             Loaded(...)            or Failed(request="load", ...)
    Generate(request="7", ...)      Started(...), Delta(...)*, Done(...)   or Failed(request="7", ...)
    Batch, Score, Embed, Count      Replies, Scores, Embeddings, Counts    or Failed(...)
    Inspect, Attend                 Inspected, Attention   or Failed(...); see inspecting.py
    Classify(texts=...)             Verdicts(...)          or Failed(...); needs no Load
    Label(texts=..., model="/path") Labels(...)            or Failed(...); needs no Load
    Cancel(request="7")             the running reply ends with Done(reason="cancelled") within 100 ms
    Shutdown()                      the worker exits with status 0
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

from engine.errors import ProtocolError
from engine.message import Message
from engine.sampling_params import SamplingParams

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Load(Message):
    kind: ClassVar[str] = "load"
    model: str  # path of a model folder or GGUF file
    device: str = "auto"  # auto, cpu, cuda or mps
    precision: str = "auto"  # auto, fp32, bf16, int8 or int4
    compile: bool = False  # decode by CUDA graphs where there is CUDA


@dataclass(frozen=True)
class Generate(Message):
    kind: ClassVar[str] = "generate"
    request: str  # the caller's name for this reply; comes back with every answer
    messages: tuple[dict[str, str], ...]  # {"role": "system"|"user"|"assistant", "content": ...}, oldest first
    params: SamplingParams = field(default_factory=SamplingParams)
    continue_last: bool = False  # the last message is an assistant's and is continued, not answered
    plain: bool = False  # no chat template: the model goes on with the messages' texts as they stand
    overlong: Literal["refuse", "cut"] = "refuse"  # a last message that does not fit: fail, or leave out its middle
    alternatives: int = 0  # likeliest tokens told with each token, in `Tokens`; 0: none are told
    begin: tuple[int, ...] = ()  # tokens that the reply begins with; they come in a Delta, but not in `Tokens`


@dataclass(frozen=True)
class Cancel(Message):
    kind: ClassVar[str] = "cancel"
    request: str


@dataclass(frozen=True)
class Shutdown(Message):
    kind: ClassVar[str] = "shutdown"


@dataclass(frozen=True)
class Loaded(Message):
    kind: ClassVar[str] = "loaded"
    model: str  # path, as asked for
    name: str
    parameters: int
    context_length: int  # tokens
    device: str  # "cpu", "cuda", "mps"
    device_note: str  # one line for people: which device, which precision, and any fallback
    seconds: float


@dataclass(frozen=True)
class Started(Message):
    """The prompt is in the model; the first token follows."""

    kind: ClassVar[str] = "started"
    request: str
    prompt_tokens: int
    cached_tokens: int  # how many of them were still in the KV cache from the turn before
    dropped_messages: int  # oldest messages left out because they did not fit the context
    context_length: int
    seed: int
    cut_tokens: int = 0  # tokens left out of the middle of the last message, which alone did not fit


@dataclass(frozen=True)
class Delta(Message):
    kind: ClassVar[str] = "delta"
    request: str
    text: str  # always whole characters


@dataclass(frozen=True)
class Tokens(Message):
    """The tokens behind the Delta around them: {"token", "text", "log_probability", "alternatives", "ids"}.

    Log-probabilities are natural, and the model's own: before temperature, filters and penalty. The alternatives are
    [text, log-probability] pairs, the likeliest first; "ids" are their ids. A token that is a piece of a character
    shows as �.
    """

    kind: ClassVar[str] = "tokens"
    request: str
    tokens: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Done(Message):
    kind: ClassVar[str] = "done"
    request: str
    reason: FinishReason
    tokens: int  # generated
    tokens_per_second: float  # decode only, without the prompt
    seconds_to_first_token: float
    context_used: int  # prompt + reply, in tokens


@dataclass(frozen=True)
class Failed(Message):
    kind: ClassVar[str] = "failed"
    request: str  # "load" when loading failed
    code: str  # EngineError.code, or "internal"
    message: str  # fit to show to a person


_STREAM = (Load, Generate, Cancel, Shutdown, Loaded, Started, Delta, Tokens, Done, Failed)
_KINDS: dict[str, type[Message]] = {cls.kind: cls for cls in _STREAM}


def encode(message: Message) -> bytes:
    """One line of UTF-8 JSON, newline included."""
    return json.dumps({"kind": message.kind, **asdict(message)}, ensure_ascii=True).encode() + b"\n"


def _class_of(kind: str) -> type[Message]:
    if kind in _KINDS:
        return _KINDS[kind]
    from engine import questions  # the first frame needs none, and making so many classes takes time

    return questions.KINDS[kind]


def decode(line: bytes | str) -> Message:
    """The message on `line`.

    Raises:
        ProtocolError: not JSON, an unknown kind, or missing or unexpected fields.
    """
    try:
        data: dict[str, Any] = json.loads(line)
        cls = _class_of(data.pop("kind"))
        unknown = set(data) - {f.name for f in fields(cls)}
        if unknown:
            raise ProtocolError(f"Unexpected fields in a {cls.kind!r} message: {', '.join(sorted(unknown))}.")
        if "params" in data:
            data["params"] = SamplingParams(**data["params"])
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"The engine's pipe carried a line that is no message: {line[:120]!r}.") from error
