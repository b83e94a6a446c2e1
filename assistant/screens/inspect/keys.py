"""The keys inside the inspector; its footer and help are made from them."""

from __future__ import annotations

from functools import partial

from assistant.inspecting.pieces import ALTERNATIVES
from assistant.screens.bindings import key

_key = partial(key, group="inspect-", show=True)

INTRO = """\
Striped are the tokens of the prompt. The stronger a token of the reply is shaded, the less likely the model found \
it; without colours a small digit says how likely, in tenths, where it was not sure. The numbers are the model's \
own, before temperature and penalties. In the attention each row is a layer or one of its heads, each column a token \
that came before; the taller a block, the more the token looks at it, against what it looks at most. What decided a \
word is what the token before it looked at."""

INSPECT_KEYS = (
    _key("left,h", "go(-1)", "Token", "Go to the token before", display="←→"),
    _key("right,l", "go(1)", "Token", "Go to the token after", show=False),
    _key("up,k", "row(-1)", "Row", "Go to the line above, in the attention to the row above", display="↑↓"),
    _key("down,j", "row(1)", "Row", "Go to the line below, in the attention to the row below", show=False),
    _key("home,g", "go_to(0)", "Begin", "Go to the beginning of the prompt", show=False, id="begin"),
    _key("r", "go_reply", "Reply", "Go to the beginning of the reply", show=False),
    _key("end,G", "go_to(-1)", "End", "Go behind the last token", show=False, id="end"),
    _key("n", "surprise(1)", "Unsure", "Go to the next token that was less likely than not"),
    _key("N,p", "surprise(-1)", "Unsure", "Go to the one before that was less likely than not", show=False),
    _key(
        "1",
        "branch(1)",
        "Branch",
        "Branch from choice 1: a reply that takes it and goes on",
        id="branch-1",
        display=f"1–{ALTERNATIVES}",
    ),
    *(
        _key(str(n), f"branch({n})", "Branch", f"Branch from choice {n}", show=False)
        for n in range(2, ALTERNATIVES + 1)
    ),
    _key("a", "attention", "Attention", "Show what the token looks at, or what else was likely"),
    _key("i", "ids", "Ids", "Show each token's number, and where it begins"),
    _key("f1,question_mark", "help", "Help", "Show these keys"),
    _key("escape,q", "leave", "Close", "Back to the chat"),
)
