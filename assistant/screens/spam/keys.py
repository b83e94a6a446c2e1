"""The keys of the spam screen. Footer, help and palette are made from this list."""

from __future__ import annotations

from textual.binding import Binding


def _key(keys: str, action: str, name: str, tooltip: str, *, show: bool = False, priority: bool = False) -> Binding:
    return Binding(keys, action, name, show=show, tooltip=tooltip, priority=priority)


SPAM_KEYS: tuple[Binding, ...] = (
    _key("escape", "back", "Back", "Stop what is being judged; else go back to the chat", show=True),
    _key("ctrl+o", "open", "Open", "Judge a file: a text, an .eml, an mbox or a Maildir", show=True, priority=True),
    _key("f2", "wrong", "Wrong!", "Say what it really is; again takes that back", show=True),
    _key("ctrl+f,f3", "search", "Search", "Search the verdicts given so far", show=True, priority=True),
    _key("f8", "delete", "Delete", "Delete this verdict and its mail for good", show=True),
    _key("ctrl+n", "new", "New", "Clear the screen for another mail"),
    _key("f5", "again", "Again", "Judge this mail anew"),
    _key("f6", "rate", "False alarms", "Set how much honest mail may be called spam", priority=True),
    _key("f7", "labels", "Labels", "Ask for other labels than spam: choose, make and train them", priority=True),
    _key("f9", "retrain", "Retrain", "Retrain the scorer from your corrections, and compare before it is adopted"),
    _key("f10", "roll_back", "Roll back", "Go back to the scorer before the one that was adopted last"),
    _key("ctrl+b", "sidebar", "List", "Show or hide the list of verdicts", priority=True),
    _key("f1", "help", "Help", "Show this help", show=True),
)
