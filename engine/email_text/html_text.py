"""HTML → the text a person would see, and what that person would not see.

Owns the order, lines and gaps of text, where links really lead, images, forms and scripts; what can be seen is
`style`'s to say. Parsing is Lexbor's (selectolax), as a browser would. No network, no style sheets from elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

from engine.email_text.css import Attributes, Rules
from engine.email_text.plain import clean
from engine.email_text.style import BLOCKS, Look, Style, gaps, look_of, overrides, pixels
from engine.email_text.writer import Writer

LONGEST = 1_000_000  # characters of one HTML part that are read
MOST_TAGS = 15_000  # the parser's time grows with the square of how deep they nest
_UNREAD = frozenset(["script", "style", "head", "title", "template", "iframe", "svg", "-comment"])
_NO_TEXT_FIELDS = frozenset(["checkbox", "radio"])  # whose value is not shown
_DOT = 3  # pixels: an image no larger is none
_LONG_TAG = re.compile(r"<[a-z][^<>]{10000,}>", re.IGNORECASE)  # time grows with the square of a tag's attributes, too
_SPACE = re.compile(r"\s+")
# Of HTML that is not parsed: comments and what is no text, and other tags. Each match is final, so time is linear.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?:(style|script|title|template|iframe|svg)\b.*?(?:</\1\b[^<>]*>?|\Z)"
    r"|/?([a-z][a-z0-9]{0,20})[^<>]*>?|[/!?][^<>]*>?)",
    re.IGNORECASE | re.DOTALL,
)


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


@dataclass
class _Open:
    """An element whose end has not been met."""

    tag: str
    attributes: Attributes
    style: Style
    look: Look
    start: int  # where its text begins
    images: int  # that came before it

    @property
    def takes_room(self) -> bool:
        """Whether there is a place for it on the page, be it an empty one."""
        return self.look.room or self.look.unseen is None

    @property
    def breaks_line(self) -> bool:
        in_line = self.style.get("display") in ("inline", "contents") and self.tag != "br"
        return self.tag in BLOCKS and self.takes_room and not in_line


def render(html: str) -> Rendered:
    """What a person sees of `html`. Time is linear in its length, memory too. Never raises."""
    result = Rendered(cut=len(html) > LONGEST)
    html, rest = _LONG_TAG.sub("", html[:LONGEST]), ""
    if html.count("<") > MOST_TAGS:
        place = -1
        for _ in range(MOST_TAGS):
            place = html.index("<", place + 1)
        html, rest, result.cut = html[:place], html[place:], True
    parser = LexborHTMLParser(html)
    if parser.root is None:
        return result
    reader = _Reader(result)
    for sheet in parser.css("style"):
        reader.rules.add(sheet.text(), sheet.attributes.get("media") or "", sheet.attributes.get("type") or "")
    reader.read(parser.root)
    reader.out.line()
    for line in unescape(_MARKUP.sub(_without_tag, rest.replace("\n", " "))).split("\n"):
        reader.out.write(line)
        reader.out.line()
    result.text = "".join(reader.out.pieces).rstrip()
    return result


def _without_tag(markup: re.Match[str]) -> str:
    tag = (markup[2] or "").lower()
    return "\n" if tag in BLOCKS else " " if tag in ("td", "th") else ""


class _Reader:
    """Walks through a document and fills in what became of it."""

    def __init__(self, result: Rendered) -> None:
        self.result = result
        self.out = Writer()
        self.rules = Rules()
        self._hidden: list[tuple[str, list[str]]] = []
        self._turned: _Open | None = None  # the outermost element that is written from right to left

    def read(self, root: LexborNode) -> None:
        # Nodes to enter, with the look of what they are in, and elements to leave: a stack of our own, because mail may
        # nest without end.
        stack: list[tuple[LexborNode, Look] | _Open] = [(root, Look())]
        while stack:
            top = stack.pop()
            if isinstance(top, _Open):
                self._leave(top)
                continue
            node, outer = top
            tag = node.tag or ""
            if tag == "-text":
                self._text(node.text_content or "", outer)
            elif tag in _UNREAD or tag.startswith(("-", "!")):
                self.result.scripts += tag == "script"
            else:
                attributes = node.attributes
                style = self.rules.style_of(tag, attributes)
                look = look_of(tag, style, outer)
                opened = _Open(tag, attributes, style, look, self.out.length, self.result.images)
                self._enter(opened)
                stack.append(opened)
                stack.extend((child, look) for child in reversed(list(node.iter(include_text=True))))
        pieces = ((why, _SPACE.sub(" ", " ".join(parts)).strip()) for why, parts in self._hidden)
        self.result.hidden = [Hidden(why, text) for why, text in pieces if text]

    def _text(self, text: str, look: Look) -> None:
        if look.unseen is None:
            self.out.write(text)
        elif text.strip():
            if not self._hidden or self._hidden[-1][0] != look.unseen:
                self._hidden.append((look.unseen, []))
            self._hidden[-1][1].append(clean(text))

    def _enter(self, opened: _Open) -> None:
        tag, attributes, result = opened.tag, opened.attributes, self.result
        if tag == "form":
            result.forms += 1
        elif tag == "input":
            result.password |= (attributes.get("type") or "").lower() == "password"
        elif tag == "a" and not self.out.goes_on_with(_behind(opened)):
            self.out.end_word()
        if opened.breaks_line:
            self.out.line()
        elif tag in ("td", "th") and opened.takes_room:
            self.out.write(" ")
        if opened.look.unseen is None:
            self._enter_seen(opened)
        opened.start = self.out.length

    def _enter_seen(self, opened: _Open) -> None:
        tag, attributes = opened.tag, opened.attributes
        if gaps(tag, opened.style)[0]:
            self.out.gap()
        if overrides(opened.style) and opened.look.reversed and self._turned is None:
            self._turned = opened
            self.out.held = True
        if tag == "img":
            self._image(opened)
        elif tag == "input" and (attributes.get("type") or "").lower() not in _NO_TEXT_FIELDS:
            self.out.write(f" {attributes.get('value') or ''} ")

    def _image(self, opened: _Open) -> None:
        sizes = [pixels(opened.style.get(side) or _as_css(opened.attributes.get(side))) for side in ("width", "height")]
        dots = [size is not None and size <= _DOT for size in sizes]
        if all(dots):  # it only counts readers
            return
        self.result.images += 1
        if (alt := (opened.attributes.get("alt") or "").strip()) and not any(dots):
            self.out.write(f" [image: {alt[:200]}] ")
        else:
            self.out.gap()

    def _leave(self, opened: _Open) -> None:
        out = self.out
        if opened is self._turned:
            self._turned, out.held = None, False
            out.turn(opened.start)
        if opened.tag == "a":
            self._leave_link(opened)
        if opened.breaks_line and opened.tag not in ("br", "hr"):
            out.line()
        elif opened.look.unseen is None and gaps(opened.tag, opened.style)[1] and out.length - opened.start > 1:
            out.gap()  # but for one letter: the first of a text, set large, is part of its word

    def _leave_link(self, opened: _Open) -> None:
        target = _target(opened)
        if not target.lower().startswith(("http", "//", "ftp", "www.")):
            return
        text = self.out.since(opened.start)
        self.result.links.append(Link(text.strip(), target, opened.start, self.out.length))
        seen = text.strip() or self.result.images > opened.images
        if seen and target.strip("/") not in text:
            self.out.behind(_behind(opened))


def _target(link: _Open) -> str:
    return clean(link.attributes.get("href") or "").strip()


def _behind(link: _Open) -> str:
    """What is written behind the text of `link`."""
    return f" ({_SPACE.sub(' ', _target(link)[:500])})"


def _as_css(size: str | None) -> str:
    """The attribute `size` of an image, such as "3", in CSS."""
    size = (size or "").strip().lower()
    return f"{size}px" if size.isdecimal() else size
