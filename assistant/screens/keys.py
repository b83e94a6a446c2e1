"""The keys and what each is for. The footer, the help and the command palette are made from these lists.

A binding's id is what the settings call it; `spelt` gives the key that holds now, so that no sentence is wrong.
Those of lists are in list_keys.py, those of other screens beside them, in a keys.py of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from textual.binding import Binding
from textual.dom import DOMNode

from assistant.screens import bindings
from assistant.screens.bindings import key_name, keys_of, spell
from assistant.screens.inspect.keys import INSPECT_KEYS
from assistant.screens.learning import keys as learning
from assistant.screens.list_keys import LIBRARY_KEYS, MODEL_KEYS, PERSONA_KEYS
from assistant.screens.spam.keys import SPAM_KEYS

_key = bindings.key

CHAT_KEYS = (
    _key("escape", "stop", "Stop", "Stop the reply; what there is of it stays", show=True),
    _key("ctrl+n", "new_chat", "New", "Begin a new chat", show=True),
    _key("ctrl+f,f3", "search", "Search", "Search all chats", show=True, priority=True),
    _key("ctrl+r", "chat_settings", "This chat", "Set what the model is told and how it answers in this chat"),
    _key("ctrl+o", "models", "Models", "Choose, add and remove models", show=True, priority=True),
    _key("ctrl+s", "spam", "Spam?", "Judge whether a mail is spam, and why", show=True, priority=True),
    _key(
        "ctrl+l", "train", "Teach", "Teach the model, from files, typed answers or your marks", show=True, priority=True
    ),
    _key("f11", "libraries", "Documents", "Choose, add and remove documents to answer from"),
    _key("f1", "help", "Help", "Show this help", show=True),
    _key("f2", "rename", "Rename", "Rename this chat"),
    _key("f4", "copy", "Copy", "Copy the message that is selected, or the last reply"),
    _key("f5", "again", "Again", "Make a reply anew; the old one stays beside it"),
    _key("f6", "continue", "Continue", "Go on with a reply that ended early", priority=True),
    _key("f7", "pin", "Pin", "Keep this chat at the top of the list, or no longer", priority=True),
    _key("f9", "archive", "Archive", "Put this chat away into the archive, or take it out"),
    _key("f10", "archived", "The archive", "List the chats in the archive, or the others again"),
    _key("ctrl+g", "temporary", "Temporary", "Begin a temporary chat: it is never written and gone when you leave"),
    _key("f8", "delete", "Delete", "Delete this chat for good"),
    _key("ctrl+b", "sidebar", "Chats", "Show or hide the list of chats", show=True, priority=True),
    _key("ctrl+t", "light", "Light/dark", "Change between light and dark", priority=True),
    _key("f12", "settings", "Settings", "Set the theme, the keys and what else holds for all chats"),
)


_on_message = partial(bindings.key, show=True, group="message-")
# In the transcript, for the message that is selected; from the palette, for that one or the last.
MESSAGE_KEYS = (
    _on_message("k", "screen.select(-1)", "Up", "Select the message before"),
    _on_message("j", "screen.select(1)", "Down", "Select the message after"),
    _on_message("e", "screen.edit", "Edit", "Change the message: that makes a branch"),
    _on_message("r", "screen.again", "Again", "Make the reply anew; the old one stays beside it"),
    _on_message("c", "screen.continue", "Continue", "Go on with the reply, which ended early"),
    _on_message("left,h", "screen.step(-1)", "‹", "Go to the branch before"),
    _on_message("right,l", "screen.step(1)", "›", "Go to the branch after"),
    _on_message("plus", "screen.mark(1)", "Good", "Mark the reply as good, or no longer"),
    _on_message("minus", "screen.mark(-1)", "Bad", "Mark the reply as bad, and say what would be better"),
    _on_message("i", "screen.inspect", "Inside", "Look inside: each token, how likely it was, what it looked at"),
    _on_message("y", "screen.copy", "Copy", "Copy the message"),
    _on_message("x", "screen.copy_code", "Code", "Copy a block of code; again for the next one"),
    _on_message("f", "screen.fork", "Fork", "Begin a chat of its own with everything up to the message"),
    _on_message("d", "screen.remove_branch", "Delete", "Delete the message and all that follows it"),
    _on_message("D", "screen.remove_one", "Delete one", "Delete only the message; what follows stays", show=False),
    _on_message("enter", "screen.sources", "Sources", "Show the passages that the reply was given"),
    _on_message("u", "screen.undo", "Undo", "Bring back what was deleted last"),
)
PROMPT_KEYS = (
    _key("enter", "send", "Send", "Send the message", show=True, group="prompt-"),
    # Every terminal can tell Ctrl+J from Enter; the others are for those that report them.
    _key(
        "ctrl+j,shift+enter,alt+enter,ctrl+enter",
        "newline",
        "New line",
        "New line in the message",
        show=True,
        group="prompt-",
    ),
)
APP_KEYS = (
    _key("ctrl+q", "quit", "Quit", "Leave; drafts and chats stay", show=True),
    _key("ctrl+p", "command_palette", "Commands", "All commands, themes too", show=True, priority=True),
)
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


def spelt(node: DOMNode, name: str) -> str:
    """The key of the binding called `name` in the app that `node` is in."""
    binding = next(b for b in all_keys() if b.id == name)
    return key_name(binding, getattr(node.app, "keymap", {}))


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
