"""Where which keys are live together: whether a key can be given to something, and all that have one.

The lists are in keys.py and list_keys.py, those of other screens beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.binding import Binding

from assistant.screens.bindings import keys_of, spell
from assistant.screens.inspect.keys import INSPECT_KEYS
from assistant.screens.keys import APP_KEYS, CHAT_KEYS, MESSAGE_KEYS, PROMPT_KEYS
from assistant.screens.learning import keys as learning
from assistant.screens.list_keys import LIBRARY_KEYS, MODEL_KEYS, PERSONA_KEYS
from assistant.screens.spam.keys import SPAM_KEYS

LIST = ("up", "down", "enter", "home", "end", "pageup", "pagedown")  # what a list needs to be gone through


@dataclass(frozen=True)
class Place:
    """Where bindings are live together: `own` and `shared`; no key may be two things there.

    `typing`: letters go into a text, so that none can be a key. `fixed`: keys that are needed for something else.
    """

    title: str
    own: tuple[Binding, ...]
    shared: tuple[Binding, ...] = APP_KEYS
    typing: bool = False
    fixed: tuple[str, ...] = ()


PLACES = (
    Place("In the prompt", PROMPT_KEYS, (*APP_KEYS, *CHAT_KEYS), typing=True),
    Place("In a chat", CHAT_KEYS, (*APP_KEYS, *PROMPT_KEYS), typing=True),
    Place("Everywhere", APP_KEYS, (), typing=True),
    Place("On a message", MESSAGE_KEYS, (*APP_KEYS, *CHAT_KEYS)),
    Place("The models", MODEL_KEYS, fixed=LIST),
    Place("The documents", LIBRARY_KEYS, fixed=LIST),
    Place("The personas", PERSONA_KEYS, fixed=LIST),
    Place("Spam check", SPAM_KEYS, (*APP_KEYS, *PROMPT_KEYS), typing=True),
    Place("Inside a reply", INSPECT_KEYS),
    Place("Teaching: the menu", learning.MENU_KEYS, fixed=LIST),
    Place("Teaching: the form", learning.FORM_KEYS, typing=True),
    Place("Teaching: typing examples in", learning.TYPE_KEYS, typing=True),
    Place("Teaching: the preview", learning.SEE_KEYS, fixed=LIST),
    Place("Teaching: a run", learning.RUN_KEYS),
    Place("Teaching: the comparison", learning.RESULT_KEYS, typing=True),
    Place("Teaching: your marks", learning.REVIEW_KEYS, fixed=LIST),
    Place("Teaching: voting", learning.VOTE_KEYS),
)


def all_keys() -> list[Binding]:
    """Every binding that can be given other keys."""
    return [binding for place in PLACES for binding in place.own]


def trouble(name: str, keys: str, keymap: Mapping[str, str]) -> str:
    """Why the binding `name` cannot have `keys`; "" when it can."""
    if name not in {b.id for b in all_keys()}:
        return f"There is no binding called {name}."
    for key in keys.split(","):
        for place in PLACES:
            together = (*place.own, *place.shared)
            if name in {b.id for b in together} and (why := _trouble(name, key, place, together, keymap)):
                return why
    return ""


def _trouble(name: str, key: str, place: Place, together: tuple[Binding, ...], keymap: Mapping[str, str]) -> str:
    if len(key) == 1 and place.typing:
        return f"{spell(key)} alone would be typed: take it with Ctrl, or a function key."
    if key in ("tab", "shift+tab"):
        return f"{spell(key)} is taken: it goes from one part of the window to the next."
    if key in place.fixed:
        return f"{spell(key)} is taken: it is needed in the list."
    for other in together:
        if other.id != name and key in keys_of(other, keymap):
            return f"{spell(key)} is taken: {other.tooltip}."
    return ""


def usable(keymap: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What of a keymap can hold, and a sentence for each that cannot."""
    good: dict[str, str] = dict(keymap)
    sentences = []
    for name, keys in keymap.items():
        if why := trouble(name, keys, good):
            sentences.append(why)
            del good[name]
    return good, sentences
