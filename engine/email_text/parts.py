"""A parsed message → its leaves: what is read of it, what is only attached, and which leaves are alternatives.

Owns which part is shown by a mail program (RFC 2046, 2387) and which attached parts are texts all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from engine.email_text.headers import attempt, file_name, values_of
from engine.email_text.plain import clean, decode
from engine.email_text.transfer import flattened, is_readable, payload_of

LONGEST_PART = 1_000_000  # bytes of one text part; and of all attached ones together
MOST_ASIDES = 4  # texts beside what is shown that are looked into
_HTML = ("text/html", "application/xhtml+xml")
_CALENDAR = "text/calendar"
_AMP = "text/x-amp-html"
_SELDOM = ("text/enriched", "text/richtext", "text/markdown", "text/x-markdown", "text/watch-html")
_OCTETS = "application/octet-stream"
_ENDINGS = {
    **dict.fromkeys(("htm", "html", "xhtml", "shtml"), "web page"),
    **{"ics": "calendar entry", "eml": "mail", "txt": "text"},
}
_DATA = ("text/css", "text/csv", "text/directory", "text/javascript", "text/rtf", "text/vcard", "text/xml", "text/x-")
_UNREAD = ("image/", "audio/", "video/", "font/")
_DOCUMENTS = (b"%PDF", b"%!PS", b"{\\rtf", b"PK")
PROGRAM = re.compile(  # Windows leaves dots and blanks at the end of a name out
    r"\.(?:exe|scr|bat|cmd|com|pif|js|jse|vbs|vbe|wsf|hta|msi|ps1|jar|lnk|apk|cpl|reg)[. ]{0,9}$", re.IGNORECASE
)
_TAGS = re.compile(rb"<(?:html|body|!doctype html|table|div|p)\b", re.IGNORECASE)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE)
_BLANK = re.compile(rb"\r?\n\r?\n|\r\r")
_HEADER = re.compile(rb"^[!-9;-~]{1,80}:", re.MULTILINE)
_KNOWN = re.compile(
    rb"^(?:from|to|cc|subject|date|received|return-path|message-id|mime-version|content-type|delivered-to|reply-to"
    rb"|x-[\w-]+|envelope-to|dkim-signature|authentication-results|sender|list-[\w-]+|in-reply-to|arc-[\w-]+):",
    re.IGNORECASE | re.MULTILINE,
)
_BREAK = r"(?:<br ?/?>)?[ \t]*(?:\n|\Z)"
_ARMOUR = re.compile(  # its own lines only, so that nobody hides words behind a beginning without an end
    rf"-----BEGIN PGP MESSAGE-----{_BREAK}(?:[> \t]{{0,9}}(?:Version|Comment|Charset|Hash|MessageID): ?[^\n]{{0,80}}\n)"
    rf"{{0,4}}(?:[> \t]{{0,9}}{_BREAK}){{0,2}}(?:[> \t]{{0,9}}[A-Za-z0-9+/]{{20,100}}={{0,2}}{_BREAK})+"
    rf"(?:[> \t]{{0,9}}[A-Za-z0-9+/]{{1,19}}={{0,2}}{_BREAK})?(?:[> \t]{{0,9}}=[A-Za-z0-9+/]{{4}}{_BREAK})?"
    r"(?:[> \t]{0,9}-----END PGP MESSAGE-----)?"
)
_FOLD = re.compile(r"\n[ \t]")
_ENTRY = re.compile(r"^(?:SUMMARY|DESCRIPTION|LOCATION)(?:;[^:\n]*)?:(.*)$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Attachment:
    name: str
    type: str  # as declared, such as "application/pdf"


@dataclass
class Part:
    """A readable part."""

    html: bool
    text: str
    seldom: bool = False  # of a kind that hardly a mail program shows where it has another


@dataclass
class Choice:
    """Alternatives: a mail program shows one of the branches, the last one that it can."""

    branches: list[list[Part | Choice]]


Parts = list[Part | Choice]


def say_anything(parts: Parts) -> bool:
    """Whether there is a readable part among `parts`, which nest no deeper than a mail may."""
    return any(isinstance(part, Part) or any(map(say_anything, part.branches)) for part in parts)


@dataclass
class Aside:
    """Text in a mail that is not shown with it."""

    what: str  # for people, such as "an attached web page"
    parts: Parts = field(default_factory=list)
    message: bytes = b""  # a mail that is attached as a file and is still to be parsed into `parts`


@dataclass
class Leaves:
    """What a message is made of, in reading order."""

    parts: Parts = field(default_factory=list)
    asides: list[Aside] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    encrypted: bool = False
    room: int = LONGEST_PART  # bytes of what is attached that may still be read

    def part(self, text: str, *, html: bool, seldom: bool = False) -> Parts:
        """A part of `text` without what is encrypted in it; none where nothing is left."""
        text = clean(text)
        if "-----BEGIN PGP MESSAGE-----" in text:
            text, found = _ARMOUR.subn(" ", text)
            self.encrypted |= found > 0
        return [Part(html, text, seldom)] if text.strip() else []


def looks_like_html(raw: bytes) -> bool:
    """Whether `raw`, of no declared type, is a page or a piece of one."""
    return bool(_TAGS.search(raw[:50_000])) and b"</" in raw


def looks_like_message(raw: bytes) -> bool:
    """Whether `raw` begins with headers, one of which is a mail's."""
    head = head_of(raw.lstrip(b"\r\n")[:20_000])
    first = head.split(b"\n", 1)[0]
    starts = bool(_HEADER.match(first)) or first.startswith(b"From ")
    return starts and bool(_KNOWN.search(head))


def head_of(raw: bytes) -> bytes:
    """`raw` up to its first empty line."""
    blank = _BLANK.search(raw)
    return raw[: blank.start()] if blank else raw


def walk(message: Message, leaves: Leaves) -> None:
    """Collect the leaves of `message` in `leaves`, without recursion. Never raises."""
    # (part, the list for what is shown of it or None where it is not shown, whether it is within alternatives)
    stack: list[tuple[Any, Parts | None, bool]] = [(message, leaves.parts, False)]
    while stack:
        part, into, within = stack.pop()
        kind = attempt(part.get_content_type, "text/plain")
        children = part.get_payload() if part.is_multipart() else None
        if not isinstance(children, list):
            _leaf(part, kind, into, leaves, alone=part is message)
            continue
        if kind == "multipart/encrypted":
            # What is encrypted is no attachment; but text that lies in clear beside it is shown.
            leaves.encrypted = True
            children = [child for child in children if _may_be_text(child)]
        targets = [into] * len(children)
        if kind == "multipart/alternative" and into is not None:
            choice = Choice([[] for _ in children])
            into.append(choice)
            targets, within = list(choice.branches), True
        elif kind == "multipart/related" and within:
            root = _root(part, children)
            targets = [into if child is root else None for child in children]
        pairs = list(zip(children, targets, strict=True))
        stack.extend((child, target, within) for child, target in reversed(pairs))


def _may_be_text(part: Any) -> bool:
    return attempt(part.get_content_maintype, "text") in ("text", "multipart")


def _root(related: Message, children: list[Any]) -> Any:
    """The child of a multipart/related that is shown: the one that it names, or the first that may be text."""
    start = attempt(lambda: related.get_param("start"), None)
    named = (child for child in children if start and str(start) in values_of(child, "content-id"))
    return next(named, None) or next(filter(_may_be_text, children), None)


def _leaf(part: Message, kind: str, into: Parts | None, leaves: Leaves, *, alone: bool) -> None:
    if kind in ("application/pgp-encrypted", "application/pkcs7-mime"):
        leaves.encrypted = True
        return
    name = " ".join(clean(file_name(part)).split())
    name = name if len(name) <= 200 else f"{name[:170]}…{name[-29:]}"  # its ending says what it is
    attached = attempt(part.get_content_disposition, None) == "attachment" or kind == _CALENDAR
    if attached or not (kind.startswith(("text/", "multipart/")) or kind in _HTML):
        leaves.attachments.append(Attachment(name, clean(kind)[:100]))
        if not alone:
            _aside(part, kind, name, "an attached", leaves)
        elif not kind.startswith(_UNREAD):  # there is nothing else, so this is what is read
            _alone(part, kind, leaves)
    elif into is None:
        _aside(part, kind, name, "an embedded", leaves)
    elif kind == _AMP:
        _aside(part, "text/html", "", "a seldom shown", leaves)
    else:
        if PROGRAM.search(name):  # declared as a text, and yet run when it is opened
            leaves.attachments.append(Attachment(name, clean(kind)[:100]))
        raw = payload_of(part, 4 * LONGEST_PART)
        if len(raw) > LONGEST_PART:
            leaves.notes.append(f"Only the first {LONGEST_PART // 1000:,} KB of a part of its text were read.")
        if kind.startswith("multipart/"):  # without a boundary, or with one that does not occur
            raw = flattened(raw, LONGEST_PART)
        into += leaves.part(_text(part, raw), html=_is_html(part, kind, raw), seldom=kind in _SELDOM)


def _text(part: Message, raw: bytes) -> str:
    return decode(raw[:LONGEST_PART], attempt(part.get_content_charset, None))


def _is_html(part: Message, kind: str, raw: bytes) -> bool:
    if kind in _HTML or kind == _AMP:
        return True
    # A type that is declared is believed, or words would be lost within "<!--" that everybody sees.
    declared = kind.startswith("text/") and bool(values_of(part, "content-type"))
    return bool(_PAGE.match(raw)) if declared else looks_like_html(raw)


def _alone(part: Message, kind: str, leaves: Leaves) -> None:
    raw = payload_of(part, 4 * LONGEST_PART)
    if is_readable(raw) and not raw.startswith(_DOCUMENTS):
        text = _text(part, raw)
        html = kind in _HTML or looks_like_html(raw)
        leaves.parts += leaves.part(entry(text) if kind == _CALENDAR else text, html=html and kind != _CALENDAR)


def _aside(part: Message, kind: str, name: str, how: str, leaves: Leaves) -> None:
    """Keep the text of a `part` that is not shown, if it is one."""
    if len(leaves.asides) >= MOST_ASIDES or leaves.room <= 0:
        return
    ending = _ENDINGS.get(name.lower().rpartition(".")[2], "")
    what = "calendar entry" if kind == _CALENDAR else "web page" if kind in _HTML else ending
    if not what and kind.startswith("text/") and not kind.startswith(_DATA):
        what = "text"
    if not what and kind != _OCTETS:
        return
    raw = payload_of(part, leaves.room * 4 // 3)[: leaves.room]
    if not what:
        what = "mail" if looks_like_message(raw) else "web page" if looks_like_html(raw) else ""
    if not what or not is_readable(raw):
        return
    leaves.room -= len(raw)
    aside = Aside(f"{how} {what}")
    if what == "mail":
        aside.message = raw
    else:
        text = _text(part, raw)
        aside.parts = leaves.part(entry(text) if what == "calendar entry" else text, html=what == "web page")
    leaves.asides.append(aside)


def entry(calendar: str) -> str:
    """What the entries of an iCalendar (RFC 5545) say: their summaries, descriptions and locations."""
    lines = _ENTRY.findall(_FOLD.sub("", clean(calendar)))
    said = [re.sub(r"\\(.)", lambda m: "\n" if m[1] in "nN" else m[1], line).strip() for line in lines]
    return "\n\n".join(dict.fromkeys(said))
