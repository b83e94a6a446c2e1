"""A chat as a file for others: Markdown and HTML of the branch on screen, JSON of everything."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

from assistant.errors import ExchangeError
from assistant.exchange.chat_json import as_data
from assistant.exchange.tree import ChatTree
from assistant.exchange.writing import new_file
from assistant.storage.rows import Chat, Message
from assistant.storage.store import Store

NAMES = {"user": "You", "assistant": "homespun", "system": "System"}
STYLE = (
    "body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif}"
    "section{border-left:3px solid #b58;padding-left:1rem;margin:1.5rem 0}section.user{border-color:#58b}"
    "pre{overflow:auto;background:#8882;padding:.6rem}p.words{white-space:pre-wrap}"
)


def write_chat(store: Store, number: int, path: Path) -> None:
    """Write a chat to the new file `path`, in the form its ending says: .md, .html or .json.

    Raises:
        ExchangeError: the ending says no form, there is such a file, it cannot be written, or the chat is gone.
    """
    if path.suffix not in (".md", ".html", ".json"):
        raise ExchangeError("Say where to: FILE.md, FILE.html or FILE.json (everything, branches too).")
    chat, tree = store.chat(number), store.whole(number)
    if chat is None or tree is None:
        raise ExchangeError("This chat has been deleted.")
    if path.suffix == ".json":
        text = as_json(tree)
    else:
        text = (as_markdown if path.suffix == ".md" else as_html)(chat, store.history(number))
    with new_file(path) as file:
        file.write(text.encode())


def as_markdown(chat: Chat, messages: Sequence[Message]) -> str:
    """What is read on screen; replies are Markdown already."""
    head = [f"# {chat.title}", *([f"> {chat.system}"] if chat.system else [])]
    return "\n\n".join([*head, *(f"**{NAMES[m.role]}**\n\n{m.content}" for m in messages)]) + "\n"


def as_json(tree: ChatTree) -> str:
    """Everything that is stored, all branches included; the parents are numbers of this file's messages."""
    return json.dumps(as_data(tree), ensure_ascii=False, indent=1) + "\n"


def as_html(chat: Chat, messages: Sequence[Message]) -> str:
    """One page without scripts or anything from elsewhere; HTML in a message is shown as text."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("js-default", {"html": False}).enable("table").disable("image")
    parts = []
    for message in messages:
        words = html.escape(message.content)
        body = markdown.render(message.content) if message.role == "assistant" else f'<p class="words">{words}</p>'
        parts.append(f'<section class="{message.role}"><b>{NAMES[message.role]}</b>\n{body}</section>')
    title = html.escape(chat.title)
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
