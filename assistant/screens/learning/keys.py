"""The keys of the training menu and of what opens from it. Footers, help and palette are made from these lists."""

from __future__ import annotations

from functools import partial

from assistant.screens.bindings import key

MENU_INTRO = """\
A model can be taught from a file, from what you type in, or from your marks. A run goes on when the window is \
closed, and what it has learned becomes a model beside the one you have: it is compared before you decide which of \
them answers."""
FORM_INTRO = """\
Fields left empty are chosen when the data is known. Look at the preview before you start: it shows what is learned, \
what is left out and why, and what the run will cost."""
SEE_INTRO = """\
Each row is an example as the model will see it. What is coloured is learned; the rest is given, and only read."""
RUN_INTRO = """\
The curves are the losses: how surprised the model is, by what it learns from and by what is held out. Lower is \
better; when the second rises again, it begins to learn by heart."""
RESULT_INTRO = """\
The numbers before and after, and the replies of the old and the new model side by side. Ask both something else \
below."""
REVIEW_INTRO = "These pairs are learned from: the better reply (+) is to become likelier than the worse one (−)."

_menu = partial(key, group="teach-", show=True)
_form = partial(key, group="form-", show=True)
_see = partial(key, group="preview-", show=True)
_run = partial(key, group="run-", show=True)
_result = partial(key, group="result-", show=True)
_review = partial(key, group="review-", show=True)
_vote = partial(key, group="vote-", show=True)
HELP = ("f1", "help", "Help", "Show these keys")

MENU_KEYS = (
    _menu("escape", "dismiss(None)", "Chat", "Back to the chat", id="back"),
    _menu("p", "pause", "Pause/resume", "Have the run save and pause, or go on with it"),
    _menu("k", "keep", "Stop and keep", "Stop the run and keep what it has learned"),
    _menu("a", "adopt", "Adopt", "Make the run's model the default"),
    _menu("b", "roll_back", "Roll back", "Go back to the default before the last adoption"),
    _menu("x", "prune", "Free disk", "Delete what a finished run needs no more"),
    _menu("delete,backspace", "remove", "Delete", "Delete the run", display="Del"),
    _menu(*HELP),
)
FORM_KEYS = (
    _form("escape", "dismiss(None)", "Back", "Back to the menu", id="back"),
    _form("ctrl+e", "type", "Type it in", "Type examples in", priority=True),
    _form("ctrl+r", "preview", "Preview", "See what it would learn and what that costs", priority=True),
    _form("ctrl+s", "start", "Start", "Start the run", priority=True),
    _form(*HELP),
)
TYPE_KEYS = (
    key("escape,ctrl+s", "done", "Done", "Done: what is typed is kept", show=True, priority=True, group="typed-"),
)
SEE_KEYS = (
    _see("escape", "dismiss(False)", "Back", "Back to the form", id="back"),
    _see("d", "dropped", "Only what is left out", "Show only what is left out, or everything again"),
    _see("t", "tokens", "Tokens apart", "Draw a line between the tokens, or no longer"),
    _see("ctrl+s", "start", "Start", "Start the run", priority=True),
    _see(*HELP),
)
RUN_KEYS = (
    _run("escape", "dismiss(None)", "Leave", "Back to the menu; the run goes on", id="back"),
    _run("p", "pause", "Pause/resume", "Have it save and pause, or go on with it"),
    _run("k", "keep", "Stop and keep", "Stop it and keep what it has learned"),
    _run("c", "cancel", "Cancel", "End it and delete what it has learned"),
    _run("l", "log", "Log", "Show its log, or what it says meanwhile"),
    _run(*HELP),
)
RESULT_KEYS = (
    _result("escape", "dismiss(False)", "Back", "Back to the menu; nothing is adopted", id="back"),
    _result("ctrl+s", "adopt", "Adopt it", "Make the new model the default", priority=True),
    _result(
        "ctrl+b", "vote", "Vote blindly", "Say which replies are better without knowing whose they are", priority=True
    ),
    _result(*HELP),
)
REVIEW_KEYS = (
    _review("escape", "done", "Done", "Back to the form"),
    _review("space", "use", "Use / leave out", "Use the pair, or leave it out"),
    _review(*HELP),
)
VOTE_KEYS = (
    _vote("escape", "end", "End", "Enough: count the votes"),
    _vote("a,left", "vote(0)", "A is better", "A is better", id="a"),
    _vote("b,right", "vote(1)", "B is better", "B is better", id="b"),
    _vote("space,equals_sign", "vote(2)", "Neither", "Neither is better", id="neither"),
)
