"""The keys and what each is for. The footer, the help and the command palette are made from these lists.

A binding's id is what the settings call it; `spelt` gives the key that holds now, so that no sentence is wrong.
Those of lists are in list_keys.py, those of other screens beside them, in a keys.py of theirs.
"""

from __future__ import annotations

from functools import partial

from textual.dom import DOMNode

from assistant.screens import bindings
from assistant.screens.bindings import key_name

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


def spelt(node: DOMNode, name: str) -> str:
    """The key of the binding called `name` in the app that `node` is in."""
    own = (*CHAT_KEYS, *MESSAGE_KEYS, *PROMPT_KEYS, *APP_KEYS)
    binding = next((b for b in own if b.id == name), None)
    if binding is None:
        from assistant.screens.places import all_keys  # the lists of all screens: not needed for the chat's first frame

        binding = next(b for b in all_keys() if b.id == name)
    return key_name(binding, getattr(node.app, "keymap", {}))
