"""What a chat wants otherwise than its model's defaults: an instruction and sampling settings, read and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

from assistant.errors import UsageError
from engine.protocol import SamplingParams

# The settings a person may change, what each is called and what it does.
SETTINGS: dict[str, tuple[str, str]] = {
    "temperature": ("Temperature", "0 is the likeliest answer; higher is livelier"),
    "top_p": ("Top-p", "the likeliest tokens with this much probability together; 1: all"),
    "top_k": ("Top-k", "this many of the likeliest tokens; 0: all"),
    "min_p": ("Min-p", "tokens above this share of the likeliest one's probability; 0: all"),
    "repetition_penalty": ("Repetition penalty", "above 1, what was said before gets less likely"),
    "max_tokens": ("Max tokens", "the longest reply"),
    "seed": ("Seed", "the same one gives the same reply; empty: a new one each time"),
}
_WHOLE = ("top_k", "max_tokens", "seed")


@dataclass(frozen=True)
class Wishes:
    """An instruction to the model and the sampling settings that differ from its defaults."""

    system: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, system: str, params: str) -> Wishes:
        """From what is stored; what a newer version may have stored in addition is left out."""
        try:
            found = json.loads(params)
        except ValueError:
            found = {}
        return cls(system, {k: v for k, v in found.items() if k in SETTINGS} if isinstance(found, dict) else {})

    def params_json(self) -> str:
        return json.dumps(self.params)


def merged(base: SamplingParams, *wishes: dict[str, Any]) -> SamplingParams:
    """`base` with every of `wishes` on top; one that cannot be is left out."""
    for wanted in wishes:
        for name, value in wanted.items():
            try:
                base = replace(base, **{name: value})
            except (TypeError, ValueError):
                continue
    return base


def read_setting(name: str, text: str) -> Any:
    """The value of setting `name` as a person wrote it; None where the text is empty: the default.

    Raises:
        UsageError: no such value is possible.
    """
    text = text.strip().replace(",", ".")
    if not text:
        return None
    title = SETTINGS[name][0]
    try:
        value: Any = int(text) if name in _WHOLE else float(text)
        SamplingParams(**{name: value})
    except ValueError as error:
        kind = "a whole number" if name in _WHOLE else "a number"
        said = str(error)
        why = said.replace(name, title.lower()) if said.startswith(name) else f"{title.lower()} must be {kind}"
        raise UsageError(f"{why[0].upper()}{why[1:]}, not {text}.") from None
    return value


assert set(SETTINGS) <= {f.name for f in fields(SamplingParams)}
