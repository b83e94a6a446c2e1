"""Small functions on text that people type, paste and read."""

from __future__ import annotations

import re
from datetime import datetime

# C0 and C1 controls but tab and newline, and the bidirectional overrides: they rewrite a terminal or fool a reader.
# Lone surrogates are what Python makes of bytes that are no UTF-8; neither SQLite nor a tokenizer can take them.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKUP = re.compile(r"[#*_`>\[\]]+")
TITLE_LENGTH = 40


def printable(text: str) -> str:
    """`text` without control characters; line ends become newlines; tabs, emoji and joiners stay."""
    if text.isprintable():  # most are, and a long chat is thousands of texts
        return text
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def make_title(text: str) -> str:
    """A chat's title out of its first message: the first line's whole words, 40 characters at most."""
    lines = [line for line in printable(_MARKUP.sub("", text)).split("\n") if line.strip()]
    line = " ".join(lines[0].split()) if lines else "New chat"
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH].rsplit(" ", 1)[0]
    return cut.rstrip(" ,.;:") + "…"


def ago(moment: str, now: datetime | None = None) -> str:
    """An ISO time as a person would say it: "now", "5 min", "3 h", "yesterday", "4 Nov"."""
    then = datetime.fromisoformat(moment)
    now = now or datetime.now(then.tzinfo)
    minutes = int((now - then).total_seconds() // 60)
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h"
    if minutes < 48 * 60:
        return "yesterday"
    return f"{then.day} {then:%b}" + (f" {then.year}" if then.year != now.year else "")


_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


def code_blocks(text: str) -> list[str]:
    """The contents of the fenced blocks of code in a piece of Markdown, also of one that has not been closed yet."""
    return [match[2].removesuffix("\n") for match in _FENCE.finditer(text)]


GREETINGS = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|evening|day)|thanks|thank you|please|there|homespun)\b[\s,.!]*)+",
    re.IGNORECASE,
)


def title_of(question: str, reply: str) -> str:
    """A chat's title out of its first exchange: what was asked without the greeting; of a greeting alone, the reply's
    first sentence."""
    title = make_title(question)
    line = next((line for line in printable(question).split("\n") if line.strip()), "")
    rest = GREETINGS.sub("", line.strip())
    if len(rest) >= 4:
        return make_title(rest[0].upper() + rest[1:])
    sentence = re.split(r"(?<=[.!?])\s", reply.strip(), maxsplit=1)[0]
    return f"{title} – {make_title(sentence)}"[: TITLE_LENGTH + 10] if rest != line.strip() and sentence else title
