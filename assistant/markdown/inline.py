"""Inline Markdown (emphasis, code, links) as text with spans of styles. Knows nothing of blocks and widths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it.token import Token
from textual.content import Content, Span
from textual.style import Style

# By the tag that HTML has for it. The colours are the theme's, looked up when it is drawn.
STYLES = {
    "em": "italic",
    "strong": "bold",
    "s": "strike",
    "code": "$text-warning on $warning 10%",
    "a": "underline",
    "img": "underline",
}
BREAKS = {"softbreak": " ", "hardbreak": "\n"}
_BR = re.compile(r"<br\s*/?>", re.IGNORECASE)


def inline(tokens: Sequence[Token]) -> Content:
    """The text of an inline token's children. A click on a link runs the widget's action `link(address)`."""
    pieces: list[str] = []
    spans: list[Span] = []
    begun: list[tuple[Token, int]] = []
    length = 0
    for token in tokens:
        start = length
        if token.nesting == 1:
            begun.append((token, start))
            continue
        if token.nesting == -1:
            token, start = begun.pop()
        else:
            pieces.append(_written(token))
            length += len(pieces[-1])
        spans += [Span(start, length, style) for style in _styles(token)]
    return Content("".join(pieces), spans)


def _written(token: Token) -> str:
    """What stands for a token. HTML is shown as it is, but for the line breaks that tables are given with it."""
    if token.type == "image":
        return f"🖼 {token.content or token.attrs.get('src', '')}"
    if token.type == "html_inline" and _BR.fullmatch(token.content):
        return "\n"
    return BREAKS.get(token.type) or re.sub(r"\s+", " ", token.content)


def _styles(token: Token) -> Iterator[str | Style]:
    if token.tag in STYLES:
        yield STYLES[token.tag]
    if address := token.attrs.get("href") or token.attrs.get("src"):
        yield Style.from_meta({"@click": f"link({address!r})"})
