"""A mail's bytes → its fields, its readable parts and the names of its attachments.

Owns everything about RFC 5322 and MIME together with `headers`, `parts` and `transfer`, on the standard library's
`email`, and keeps it bounded: a header, the depth of a tree, the number of its parts and the size of what is read have
limits, and what was left out is told in `Parsed.notes`. Never raises.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import Compat32
from typing import Any

from engine.email_text.headers import Fields, attempt, fields_of, in_words, unfolded
from engine.email_text.parts import (
    LONGEST_PART,
    Attachment,
    Choice,
    Leaves,
    Part,
    head_of,
    looks_like_html,
    looks_like_message,
    say_anything,
    walk,
)
from engine.email_text.plain import decode
from engine.email_text.transfer import flattened

__all__ = ["Attachment", "Choice", "Fields", "Parsed", "Part", "looks_like_message", "parse"]
LONGEST_HEADER = 8_000  # bytes of one header; its parser's time grows faster than its length
MOST_HEADERS = 400
LONGEST_VALUE, SHORT_VALUE = 4_000, 200  # characters of one header, also of a part's, that are understood
MOST_VALUES = 500_000  # characters of all of them; of those beyond, only the short beginnings
MOST_PARTS = 1_000
MOST_LINES = 500_000  # beyond this a mail of parts is read as one flat text
MOST_COMPARED = 5_000_000  # the same, of its lines times the delimiters that each may be compared to
DEEPEST = 60  # nested parts: beyond this a mail is read as one flat text
_CONTENT_TYPE = re.compile(
    rb"(?:\A|[\r\n])content-type:([^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*)", re.IGNORECASE
)  # with the lines that it is folded into
_NESTS = re.compile(rb"boundary|message/", re.IGNORECASE)
_EMPTY_LINES = re.compile(rb"(?:[ \t]*+[\r\n])*+")  # not the blanks before a text that is set in
_ENVELOPE = re.compile(rb">?From [^\r\n]*[\r\n]+")


class _Policy(Compat32):
    """Headers as plain texts: what the library otherwise makes of them takes long, and raises errors on some."""

    def header_fetch_parse(self, name: str, value: Any) -> str:
        value = unfolded(str(value))
        return in_words(value) if value.startswith("=?") else value  # as Python's own library writes some


@dataclass
class _Room:
    """What a mail may still have, all its parts together."""

    parts: int = MOST_PARTS
    values: int = MOST_VALUES


class _Message(Message):
    """A message, or a part of one, that takes only so many headers, and only so much of each."""

    def __init__(self, policy: Any, room: _Room) -> None:
        super().__init__(policy)
        self._room, self._more = room, MOST_HEADERS
        self._whole = room.parts == MOST_PARTS  # of a part, only the headers that say how to read it are wanted

    def set_raw(self, name: str, value: Any) -> None:
        if self._more > 0 and (self._whole or name[:8].lower() == "content-"):
            self._more -= 1
            value = value[: LONGEST_VALUE if self._room.values > 0 else SHORT_VALUE]
            self._room.values -= len(value)
            super().set_raw(name, value)


@dataclass
class Parsed(Leaves):
    """A mail, taken apart."""

    fields: Fields = field(default_factory=Fields)
    has_headers: bool = True


def parse(raw: bytes) -> Parsed:
    """The mail in `raw`; bytes without headers are a plain text. Never raises."""
    return attempt(lambda: _with_asides(raw), None) or _as_text(raw, Parsed())


def _with_asides(raw: bytes) -> Parsed:
    parsed = _parse(raw, Parsed())
    for aside in parsed.asides:
        if aside.message:
            inner = _parse(aside.message, Parsed(room=0))  # what is attached to what is attached stays unread
            aside.parts = [Part(False, inner.fields.subject), *inner.parts]
    if parsed.asides and not say_anything(parsed.parts):
        parsed.parts = parsed.asides.pop(0).parts  # nothing else can be read, so this is what is
    return parsed


def _as_text(raw: bytes, parsed: Parsed) -> Parsed:
    parsed.has_headers = False
    parsed.parts += parsed.part(decode(raw[:LONGEST_PART], None), html=looks_like_html(raw))
    return parsed


def _parse(raw: bytes, parsed: Parsed) -> Parsed:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raw = raw.decode("utf-16", "replace").encode()
    raw = raw.replace(b"\0", b"").removeprefix(codecs.BOM_UTF8)
    mail = raw[_EMPTY_LINES.match(raw).end() :]  # type: ignore[union-attr]
    envelope = _ENVELOPE.match(mail)  # an mbox's first line, also one that was quoted
    if envelope and looks_like_message(mail[envelope.end() :]):
        mail = mail[envelope.end() :].lstrip(b"\r\n")
    if not looks_like_message(mail):
        return _as_text(raw, parsed)
    head = head_of(mail)
    body = mail[len(head) :]
    head = _bounded(head, parsed)
    top = _taken_apart(head + b"\n\n")
    parsed.fields = fields_of(top) if top is not None else Fields()
    nested = sum(bool(_NESTS.search(declared)) for declared in _CONTENT_TYPE.findall(mail))
    lines = mail.count(b"\n") + mail.count(b"\r") - mail.count(b"\r\n")
    whole = None
    if nested > DEEPEST:
        parsed.notes.append(f"It nests more than {DEEPEST} parts, so it was read as one flat text.")
    elif lines > MOST_LINES and not nested and top is not None:
        whole = top
        whole.set_payload(body.decode("ascii", "surrogateescape"))
    elif lines <= MOST_LINES and lines * nested <= MOST_COMPARED:
        whole = _taken_apart(head + body)
    if whole is not None:
        walk(whole, parsed)
    elif nested <= DEEPEST:
        parsed.notes.append("It has too many parts or lines to be taken apart, so it was read as one flat text.")
    if not (say_anything(parsed.parts) or parsed.asides or parsed.attachments or parsed.encrypted):
        flat = flattened(body, LONGEST_PART)
        parsed.parts += parsed.part(decode(flat, None), html=looks_like_html(flat))
    return parsed


def _taken_apart(raw: bytes) -> Message | None:
    """`raw` as the library takes it apart; None where it fails, or finds more than MOST_PARTS."""
    room = _Room()

    def make(policy: Any) -> _Message:
        message = _Message(policy, room)
        room.parts -= 1
        if room.parts < 0:
            raise ValueError(f"more than {MOST_PARTS} parts")
        return message

    return attempt(lambda: message_from_bytes(raw, policy=_Policy(message_factory=make)), None)


def _bounded(head: bytes, parsed: Parsed) -> bytes:
    """`head` with long headers cut and at most MOST_HEADERS of them."""
    if len(head) <= LONGEST_HEADER:
        return head
    headers = re.split(rb"\r?\n(?![ \t])", head[:4_000_000])
    if len(headers) > MOST_HEADERS or any(len(header) > LONGEST_HEADER for header in headers):
        parsed.notes.append("Its headers are unusually long and were cut.")
    return b"\n".join(header[:LONGEST_HEADER] for header in headers[:MOST_HEADERS])
