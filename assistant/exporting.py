"""A chat as a file for others: Markdown and HTML of the branch on screen, JSON of everything."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from assistant.storage.rows import Chat, Message

FORMAT = {"format": "homespun-chat", "version": 1}
NAMES = {"user": "You", "assistant": "homespun", "system": "System"}
STYLE = (
    "body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif}"
    "section{border-left:3px solid #b58;padding-left:1rem;margin:1.5rem 0}section.user{border-color:#58b}"
    "pre{overflow:auto;background:#8882;padding:.6rem}p.words{white-space:pre-wrap}"
)


def as_markdown(chat: Chat, messages: Sequence[Message]) -> str:
    """What is read on screen; replies are Markdown already."""
    head = [f"# {chat.title}", *([f"> {chat.system}"] if chat.system else [])]
    return "\n\n".join([*head, *(f"**{NAMES[m.role]}**\n\n{m.content}" for m in messages)]) + "\n"


def as_json(chat: Chat, tree: Sequence[Message]) -> str:
    """Everything that is stored, all branches included; the parents are numbers of this file's messages."""
    own = {key: value for key, value in asdict(chat).items() if key not in ("id", "busy", "draft")}
    dropped = ("chat", "owner", "place", "siblings")
    messages: list[dict[str, Any]] = [{k: v for k, v in asdict(m).items() if k not in dropped} for m in tree]
    return json.dumps({**FORMAT, "chat": own, "messages": messages}, ensure_ascii=False, indent=1) + "\n"


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
