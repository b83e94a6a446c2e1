"""The keys of the spam screen. Footer, help and palette are made from this list."""

from __future__ import annotations

from functools import partial

from textual.binding import Binding

from assistant.screens.bindings import key

INTRO = """\
It is judged on this computer; nothing of a mail goes anywhere. Every mail is kept in the list with its verdict \
until you delete it. What is marked in the mail moved the verdict: the number behind it says how much, for spam or \
against it. When a verdict is wrong, say so: the scorer learns from that when you want it to."""
TYPING = (("Enter", "Judge what stands in the prompt"), ("Tab", "Go to the verdicts and back"))

_key = partial(key, group="spam-")

SPAM_KEYS: tuple[Binding, ...] = (
    _key("escape", "back", "Back", "Leave the search, stop judging, or go back to the chat", show=True),
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
