"""How a binding is made, what the settings call it, and how its keys are spelt. Which there are is keys.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from textual.binding import Binding

SPELT = {
    "escape": "Esc",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "delete": "Del",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "question_mark": "?",
}


def key(
    keys: str,
    action: str,
    name: str,
    tooltip: str,
    *,
    show: bool = False,
    priority: bool = False,
    group: str = "",
    id: str = "",
    display: str | None = None,
) -> Binding:
    """A binding that people may give other keys: the settings call it `group` and `id`, which is its action's name."""
    name_of = group + (id or _id(action))
    return Binding(keys, action, name, show=show, tooltip=tooltip, priority=priority, id=name_of, key_display=display)


def _id(action: str) -> str:
    """`screen.step(-1)` → step-before; `branch(3)` → branch-3."""
    for end, word in (("(-1)", "-before"), ("(1)", "-after")):
        action = action.replace(end, word)
    return re.sub(r"\((\w+)\)", r"-\1", action).removeprefix("screen.").replace("_", "-")


def keys_of(binding: Binding, keymap: Mapping[str, str]) -> list[str]:
    """The keys that `binding` has now."""
    return [key.strip() for key in keymap.get(binding.id or "", binding.key).split(",")]


def key_name(binding: Binding, keymap: Mapping[str, str] | None = None) -> str:
    """How a keyboard spells the first of the binding's keys: "Ctrl+N", "Esc", "e", "D"."""
    return spell(keys_of(binding, keymap or {})[0])


def spell(key: str) -> str:
    if len(key) == 1:
        return key
    return "+".join(SPELT.get(part, part.capitalize()) for part in key.split("+"))


def listed(bindings: Iterable[Binding], keymap: Mapping[str, str]) -> list[tuple[str, str]]:
    """(key, what it does) for people."""
    return [(key_name(b, keymap), b.tooltip or b.description) for b in bindings]
