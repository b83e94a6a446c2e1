"""Cleaning: the same words in one form. Markup, wrongly decoded text, control characters, spaces, chats' turns.

What is not worth keeping is decided in `filters.py`; nothing here drops a document but a chat that is no chat.
"""

from __future__ import annotations

import re
import unicodedata

from training.data.documents import Document
from training.recipe import DataRecipe

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff\ufffe\uffff]")
_BLANK = re.compile(r"[ \t\u00a0]{2,}|[\t\u00a0]")
_LINES = re.compile(r"\n{3,}")
# A speaker's name that a generator never filled in ("Hi, [User 1's name]!"). A letter's "[your name]" is for the reader
# to fill in and stays.
_PLACEHOLDER = re.compile(r",?\s*\[(?:user|bot|persona|assistant|speaker)\s?\d*(?:'s)?(?: name)?\]", re.IGNORECASE)
_PAGE = re.compile(r"<!doctype html|<html[\s>]|<body[\s>]", re.IGNORECASE)
_TAG = re.compile(r"</(?:p|div|li|ul|ol|table|tr|td|h[1-6]|span|a|b|i|em|strong)>|<br ?/?>", re.IGNORECASE)
PAGE_HEAD = 2000  # characters in which a page says that it is one
TAG_EVERY = 200  # characters; a text with tags that close more often than this is a piece of a page
FURNITURE = ["nav", "footer", "aside", "form", "menu", "dialog"]  # of a page: not what it says


def clean_text(text: str) -> str:
    """NFC, no control or invisible characters, single spaces, at most one empty line in a row."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    # Most text has next to nothing to clean, and finding that out is much faster than substituting. What is printable
    # has no control characters, and no space but the plain one.
    if not text.replace("\n", "").isprintable():
        text = _CONTROL.sub("", text)
        text = "\n".join(line.rstrip() for line in _BLANK.sub(" ", text).split("\n"))
    elif "  " in text:
        text = _BLANK.sub(" ", text)
    if " \n" in text:
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    return (_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip()


def mend(text: str) -> str:
    """`text` with the lines put right that were decoded as something they are not ("donâ€™t" → "don’t").

    A heuristic finds them, so that text which only looks unusual is left alone (Speer, ftfy).
    """
    if text.isascii():
        return text
    import ftfy
    from ftfy.badness import is_bad

    lines = text.split("\n")
    for index, line in enumerate(lines):
        if not line.isascii() and is_bad(line):
            lines[index] = ftfy.fix_encoding(line)
    return "\n".join(lines)


def is_markup(text: str) -> bool:
    """Whether `text` is a page of HTML or a piece of one, and not a text that mentions a tag or two."""
    if "<" not in text:
        return False
    return bool(_PAGE.search(text[:PAGE_HEAD])) or len(_TAG.findall(text)) > max(2, len(text) // TAG_EVERY)


def text_of_markup(html: str) -> str:
    """What a page of HTML says, its paragraphs and lists kept, its menus and scripts left out (by Resiliparse)."""
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html, alt_texts=False, skip_elements=FURNITURE)


def clean(document: Document, recipe: DataRecipe | None = None) -> Document | None:
    """`document` cleaned; None for a chat with an empty turn or turns that do not alternate."""
    if "text" in document:
        text = document["text"]
        if recipe and recipe.markup and is_markup(text):
            text = text_of_markup(text)
        return {"text": clean_text(mend(text) if recipe and recipe.mojibake else text)}
    messages = []
    for m in document["messages"]:
        content = mend(m["content"]) if recipe and recipe.mojibake else m["content"]
        messages.append({"role": m["role"], "content": _PLACEHOLDER.sub("", clean_text(content))})
    if messages and messages[-1]["role"] == "user":
        messages.pop()  # nobody answers it
    turns = [m["role"] for m in messages if m["role"] != "system"]
    alternate = turns == ["user", "assistant"] * (len(turns) // 2)
    whole = all(m["content"] for m in messages)
    return {"messages": messages} if turns and alternate and whole else None
