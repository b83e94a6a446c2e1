"""HTML → the text a person would see, and what that person would not see.

Owns visibility (hidden elements, tiny and same-coloured text), where links really lead, images, forms and scripts.
Parsing is Lexbor's (selectolax), as a browser would. No network, no style sheets from elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from engine.email_text.plain import clean
from engine.email_text.style import Look, class_rules, look_of

LONGEST = 1_000_000  # characters of one HTML part that are read
MOST_TAGS = 15_000  # the parser's time grows with the square of how deep they nest
_BLOCKS = frozenset(
    [
        *(
            "p",
            "div",
            "br",
            "tr",
            "table",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "li",
            "ul",
            "ol",
            "blockquote",
            "pre",
        ),
        *(
            "hr",
            "section",
            "article",
            "header",
            "footer",
            "form",
            "center",
            "dl",
            "dt",
            "dd",
        ),
    ]
)
_UNREAD = frozenset(["script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg", "-comment"])
_LONG_TAG = re.compile(r"<[a-z][^<>]{10000,}>", re.IGNORECASE)  # time grows with the square of a tag's attributes, too
_SPACE = re.compile(r"\s+")


@dataclass
class Link:
    text: str
    target: str
    start: int  # of the text, in Rendered.text
    end: int


@dataclass
class Hidden:
    why: str  # "hidden", "tiny" or "same colour"
    text: str


@dataclass
class Rendered:
    """What became of one HTML part."""

    text: str = ""
    links: list[Link] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    images: int = 0
    forms: int = 0
    password: bool = False
    scripts: int = 0
    cut: bool = False  # the part was longer, or had more tags, than is read


class _Writer:
    """Text with single spaces and line ends, and where one is in it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.ends = "\n"  # what the text ends with, as far as it matters: " ", "\n" or a letter

    def write(self, text: str) -> None:
        text = _SPACE.sub(" ", clean(text))  # "&#27;" is an escape, too
        if self.ends in " \n":
            text = text.lstrip(" ")
        if text:
            self.pieces.append(text)
            self.length += len(text)
            self.ends = text[-1]

    def line(self) -> None:
        if self.ends != "\n":
            self.pieces.append("\n")
            self.length += 1
            self.ends = "\n"


def render(html: str) -> Rendered:
    """What a person sees of `html`. Time is linear in its length, memory too."""
    result = Rendered(cut=len(html) > LONGEST)
    html = _LONG_TAG.sub("", html[:LONGEST])
    if html.count("<") > MOST_TAGS:
        place = -1
        for _ in range(MOST_TAGS):
            place = html.index("<", place + 1)
        html, result.cut = html[:place], True
    root = LexborHTMLParser(html).root
    if root is None:
        return result
    rules = class_rules(html)
    out = _Writer()
    hidden: list[tuple[str, list[str]]] = []
    open_links: list[tuple[LexborNode, str, int]] = []
    # (node, look) to enter, or (node, None) to leave: a stack of our own, because mail may nest without end
    stack: list[tuple[LexborNode, Look | None]] = [(root, Look())]
    while stack:
        node, look = stack.pop()
        tag = node.tag or ""
        if look is None:
            _leave(tag, out, open_links, result)
            continue
        if tag == "-text":
            _text(node.text_content or "", look, out, hidden)
            continue
        if tag in _UNREAD or tag.startswith(("-", "!")):
            result.scripts += tag == "script"
            continue
        look = look_of(node, look, rules)
        _enter(node, tag, look, out, open_links, result)
        stack.append((node, None))
        stack.extend((child, look) for child in reversed(list(node.iter(include_text=True))))
    result.text = "".join(out.pieces).rstrip()
    result.hidden = [Hidden(why, text) for why, parts in hidden if (text := _SPACE.sub(" ", " ".join(parts)).strip())]
    return result


def _text(text: str, look: Look, out: _Writer, hidden: list[tuple[str, list[str]]]) -> None:
    if look.unseen is None:
        out.write(text)
    elif text.strip():
        if not hidden or hidden[-1][0] != look.unseen:
            hidden.append((look.unseen, []))
        hidden[-1][1].append(clean(text))


def _enter(
    node: LexborNode,
    tag: str,
    look: Look,
    out: _Writer,
    open_links: list[tuple[LexborNode, str, int]],
    result: Rendered,
) -> None:
    if tag in _BLOCKS and look.unseen is None:
        out.line()
    elif tag in ("td", "th"):
        out.write(" ")
    if tag == "a":
        open_links.append((node, clean(node.attributes.get("href") or "").strip(), out.length))
    elif tag == "img" and look.unseen is None:
        if _tracker(node):
            return
        result.images += 1
        if alt := (node.attributes.get("alt") or "").strip():
            out.write(f" [image: {alt[:200]}] ")
    elif tag == "form":
        result.forms += 1
    elif tag == "input":
        result.password |= (node.attributes.get("type") or "").lower() == "password"
        out.write(f" {node.attributes.get('value') or ''} " if look.unseen is None else "")


def _leave(tag: str, out: _Writer, open_links: list[tuple[LexborNode, str, int]], result: Rendered) -> None:
    if tag == "a" and open_links:
        _, target, start = open_links.pop()
        text = _since(out, start)
        if target.lower().startswith(("http", "//", "ftp", "www.")):
            result.links.append(Link(text.strip(), target, start, out.length))
            if target.strip("/") not in text:
                out.write(f" ({target[:500]})")
    elif tag in _BLOCKS and tag not in ("br", "hr"):
        out.line()


def _since(out: _Writer, start: int) -> str:
    """What was written from `start` on."""
    wanted, pieces = out.length - start, []
    for piece in reversed(out.pieces):
        if wanted <= 0:
            break
        pieces.append(piece)
        wanted -= len(piece)
    return "".join(reversed(pieces))


def _tracker(image: LexborNode) -> bool:
    """Whether `image` is a dot that only counts readers."""
    sizes = [(image.attributes.get(side) or "").rstrip("px").strip() for side in ("width", "height")]
    return all(size in ("0", "1", "2") for size in sizes)
