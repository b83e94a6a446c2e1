"""The chat's keys and what each is for. The footer, the help and the command palette are made from this list."""

from __future__ import annotations

from textual.binding import Binding

KEYS = (
    Binding("escape", "stop", "Stop", tooltip="Stop the reply; what there is of it stays"),
    Binding("ctrl+n", "new_chat", "New", tooltip="Begin a new chat"),
    Binding("ctrl+f,f3", "search", "Search", tooltip="Search all chats", priority=True),
    Binding("ctrl+o", "models", "Models", tooltip="Choose, add and remove models", priority=True),
    Binding("f1", "help", "Help", tooltip="Show this help"),
    Binding("f2", "rename", "Rename", show=False, tooltip="Rename this chat"),
    Binding("f4", "copy", "Copy", show=False, tooltip="Copy the last reply"),
    Binding("f5", "again", "Again", show=False, tooltip="Make the last reply anew"),
    Binding("f8", "delete", "Delete", show=False, tooltip="Delete this chat for good"),
    Binding("ctrl+b", "sidebar", "Chats", tooltip="Show or hide the list of chats", priority=True),
    Binding("ctrl+t", "light", "Light/dark", show=False, tooltip="Change between light and dark", priority=True),
)


def key_name(binding: Binding) -> str:
    """How a keyboard spells the first of the binding's keys: "Ctrl+N", "Esc"."""
    names = {"escape": "Esc", "ctrl": "Ctrl", "shift": "Shift"}
    return "+".join(names.get(part, part.upper()) for part in binding.key.split(",")[0].split("+"))
