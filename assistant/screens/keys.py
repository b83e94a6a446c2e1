"""The keys and what each is for. The footer, the help and the command palette are made from these lists."""

from __future__ import annotations

from textual.binding import Binding


def _key(keys: str, action: str, name: str, tooltip: str, *, show: bool = False, priority: bool = False) -> Binding:
    return Binding(keys, action, name, show=show, tooltip=tooltip, priority=priority)


CHAT_KEYS = (
    _key("escape", "stop", "Stop", "Stop the reply; what there is of it stays", show=True),
    _key("ctrl+n", "new_chat", "New", "Begin a new chat", show=True),
    _key("ctrl+f,f3", "search", "Search", "Search all chats", show=True, priority=True),
    _key("ctrl+o", "models", "Models", "Choose, add and remove models", show=True, priority=True),
    _key("ctrl+s", "spam", "Spam?", "Judge whether a mail is spam, and why", show=True, priority=True),
    _key(
        "ctrl+l", "train", "Teach", "Teach the model, from files, typed answers or your marks", show=True, priority=True
    ),
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
)

# In the transcript, for the message that is selected; from the palette, for that one or the last.
MESSAGE_KEYS = (
    _key("k", "screen.select(-1)", "Up", "Select the message before", show=True),
    _key("j", "screen.select(1)", "Down", "Select the message after", show=True),
    _key("e", "screen.edit", "Edit", "Change the message: that makes a branch", show=True),
    _key("r", "screen.again", "Again", "Make the reply anew; the old one stays beside it", show=True),
    _key("c", "screen.continue", "Continue", "Go on with the reply, which ended early", show=True),
    _key("left,h", "screen.step(-1)", "‹", "Go to the branch before", show=True),
    _key("right,l", "screen.step(1)", "›", "Go to the branch after", show=True),
    _key("plus", "screen.mark(1)", "Good", "Mark the reply as good, or no longer", show=True),
    _key("minus", "screen.mark(-1)", "Bad", "Mark the reply as bad, and say what would be better", show=True),
    _key("i", "screen.inspect", "Inside", "Look inside: each token, how likely it was, what it looked at", show=True),
    _key("y", "screen.copy", "Copy", "Copy the message", show=True),
    _key("x", "screen.copy_code", "Code", "Copy a block of code; again for the next one", show=True),
    _key("f", "screen.fork", "Fork", "Begin a chat of its own with everything up to the message", show=True),
    _key("d", "screen.remove_branch", "Delete", "Delete the message and all that follows it", show=True),
    _key("D", "screen.remove_one", "Delete one", "Delete only the message; what follows stays"),
    _key("u", "screen.undo", "Undo", "Bring back what was deleted last", show=True),
)
KEYS = CHAT_KEYS


def key_name(binding: Binding) -> str:
    """How a keyboard spells the first of the binding's keys: "Ctrl+N", "Esc", "e", "D"."""
    key = binding.key.split(",")[0]
    if len(key) == 1:
        return key
    names = {"escape": "Esc", "ctrl": "Ctrl", "shift": "Shift", "left": "←", "right": "→", "plus": "+", "minus": "-"}
    return "+".join(names.get(part, part.upper()) for part in key.split("+"))
