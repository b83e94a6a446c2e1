"""The keys and what each is for. The footer, the help and the command palette are made from these lists.

A binding's id is what the settings call it; `spelt` gives the key that holds now, so that no sentence is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.binding import Binding
from textual.dom import DOMNode


def _key(
    keys: str, action: str, name: str, tooltip: str, *, show: bool = False, priority: bool = False, group: str = ""
) -> Binding:
    return Binding(keys, action, name, show=show, tooltip=tooltip, priority=priority, id=group + _id(action))


def _id(action: str) -> str:
    """`screen.step(-1)` → step-before."""
    for end, word in (("(-1)", "-before"), ("(1)", "-after")):
        action = action.replace(end, word)
    return action.removeprefix("screen.").replace("_", "-")


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


def _on_message(keys: str, action: str, name: str, tooltip: str, *, show: bool = True) -> Binding:
    return _key(keys, f"screen.{action}", name, tooltip, show=show, group="message-")


# In the transcript, for the message that is selected; from the palette, for that one or the last.
MESSAGE_KEYS = (
    _on_message("k", "select(-1)", "Up", "Select the message before"),
    _on_message("j", "select(1)", "Down", "Select the message after"),
    _on_message("e", "edit", "Edit", "Change the message: that makes a branch"),
    _on_message("r", "again", "Again", "Make the reply anew; the old one stays beside it"),
    _on_message("c", "continue", "Continue", "Go on with the reply, which ended early"),
    _on_message("left,h", "step(-1)", "‹", "Go to the branch before"),
    _on_message("right,l", "step(1)", "›", "Go to the branch after"),
    _on_message("plus", "mark(1)", "Good", "Mark the reply as good, or no longer"),
    _on_message("minus", "mark(-1)", "Bad", "Mark the reply as bad, and say what would be better"),
    _on_message("i", "inspect", "Inside", "Look inside: each token, how likely it was, what it looked at"),
    _on_message("y", "copy", "Copy", "Copy the message"),
    _on_message("x", "copy_code", "Code", "Copy a block of code; again for the next one"),
    _on_message("f", "fork", "Fork", "Begin a chat of its own with everything up to the message"),
    _on_message("d", "remove_branch", "Delete", "Delete the message and all that follows it"),
    _on_message("D", "remove_one", "Delete one", "Delete only the message; what follows stays", show=False),
    _on_message("enter", "sources", "Sources", "Show the passages that the reply was given"),
    _on_message("u", "undo", "Undo", "Bring back what was deleted last"),
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
# What can be live at the same time: a key must not be two things in one of these.
SCOPES = ((*APP_KEYS, *CHAT_KEYS, *PROMPT_KEYS), (*APP_KEYS, *CHAT_KEYS, *MESSAGE_KEYS))


def all_keys() -> list[Binding]:
    """Every binding that can be given other keys."""
    return [*PROMPT_KEYS, *CHAT_KEYS, *APP_KEYS, *MESSAGE_KEYS]


def keys_of(binding: Binding, keymap: Mapping[str, str]) -> list[str]:
    """The keys that `binding` has now."""
    return [key.strip() for key in keymap.get(binding.id or "", binding.key).split(",")]


def key_name(binding: Binding, keymap: Mapping[str, str] | None = None) -> str:
    """How a keyboard spells the first of the binding's keys: "Ctrl+N", "Esc", "e", "D"."""
    return spell(keys_of(binding, keymap or {})[0])


def spell(key: str) -> str:
    if len(key) == 1:
        return key
    names = {"escape": "Esc", "ctrl": "Ctrl", "shift": "Shift", "left": "←", "right": "→", "plus": "+", "minus": "-"}
    return "+".join(names.get(part, part.upper() if len(part) < 4 else part.capitalize()) for part in key.split("+"))


def spelt(node: DOMNode, name: str) -> str:
    """The key of the binding called `name` in the app that `node` is in."""
    binding = next(b for b in all_keys() if b.id == name)
    return key_name(binding, getattr(node.app, "keymap", {}))


def trouble(name: str, keys: str, keymap: Mapping[str, str]) -> str:
    """Why the binding `name` cannot have `keys`; "" when it can."""
    if name not in {b.id for b in all_keys()}:
        return f"There is no binding called {name}."
    on_message = name.startswith("message-")
    for key in keys.split(","):
        if len(key) == 1 and not on_message:
            return f"{spell(key)} alone would be typed into the prompt: take it with Ctrl, or a function key."
        for scope in SCOPES:
            if name not in {b.id for b in scope}:
                continue
            for other in scope:
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


def listed(bindings: Iterable[Binding], keymap: Mapping[str, str]) -> list[tuple[str, str]]:
    """(key, what it does) for people."""
    return [(key_name(b, keymap), b.tooltip or b.description) for b in bindings]
