"""A mail's bytes → its fields, its readable parts and the names of its attachments.

Owns everything about RFC 5322 and MIME, on the standard library's `email`, and keeps it bounded: a header, the depth of
a tree and the size of what is read have limits, and what was left out is told in `Parsed.notes`. Never raises.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any, TypeVar

from engine.email_text.plain import clean, decode

T = TypeVar("T")
LONGEST_HEADER = 8_000  # bytes of one header; its parser's time grows faster than its length
MOST_HEADERS = 400
LONGEST_PART = 1_000_000  # bytes of one text part
DEEPEST = 60  # nested parts: beyond this a mail is read as one flat text
_MARKS = re.compile(rb"boundary\s*=|content-type:\s*message/rfc822", re.IGNORECASE)
_BLANK = re.compile(rb"\r?\n\r?\n|\r\r")
_HEADER = re.compile(rb"^[!-9;-~]{1,80}:", re.MULTILINE)
_KNOWN = re.compile(
    rb"^(?:from|to|cc|subject|date|received|return-path|message-id|mime-version|content-type|delivered-to|reply-to"
    rb"|x-[\w-]+|envelope-to|dkim-signature|authentication-results|sender|list-[\w-]+|in-reply-to|arc-[\w-]+):",
    re.IGNORECASE | re.MULTILINE,
)
_AUTH = re.compile(r"\b(spf|dkim|dmarc)\s*=\s*([a-z]+)", re.IGNORECASE)
_SIGNED = re.compile(
    r"\bdkim\s*=\s*pass\b[^;]{0,300}?\bheader\.[di]\s*=\s*@?([\w.-]{1,200})", re.IGNORECASE
)  # RFC 8601
_ARMOUR = re.compile(r"-----BEGIN PGP MESSAGE-----.*?(?:-----END PGP MESSAGE-----|\Z)", re.DOTALL)
_BASE64_LINES = re.compile(rb"(?:^[A-Za-z0-9+/=]{40,}\r?\n?)+", re.MULTILINE)

_MIME_LINES = re.compile(rb"^(?:--\S{1,80}|Content-[\w-]{1,30}:[^\n]*)\r?\n", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Attachment:
    name: str
    type: str  # as declared, such as "application/pdf"


@dataclass(frozen=True)
class Fields:
    """The headers that a reader or a finding asks for; "" where there is none."""

    from_name: str = ""
    from_address: str = ""
    reply_to: str = ""  # an address
    to: str = ""
    subject: str = ""
    date: str = ""
    authentication: dict[str, str] = field(default_factory=dict)  # spf, dkim, dmarc → pass, fail, softfail, none, …
    signed_by: tuple[str, ...] = ()  # hosts whose signatures (DKIM) the server that received it found right


@dataclass
class Part:
    """A readable part."""

    html: bool
    text: str
    group: int | None = None  # parts with the same number are alternatives of each other


@dataclass
class Parsed:
    fields: Fields = field(default_factory=Fields)
    parts: list[Part] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    encrypted: bool = False
    has_headers: bool = True


def looks_like_message(raw: bytes) -> bool:
    """Whether `raw` begins with headers, one of which is a mail's."""
    head = _head(raw.lstrip(b"\r\n")[:20_000])
    first = head.split(b"\n", 1)[0]
    starts = bool(_HEADER.match(first)) or first.startswith(b"From ")
    return starts and bool(_KNOWN.search(head))


def _head(raw: bytes) -> bytes:
    blank = _BLANK.search(raw)
    return raw[: blank.start()] if blank else raw


def parse(raw: bytes) -> Parsed:
    """The mail in `raw`; bytes without headers are a plain text."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raw = raw.decode("utf-16", "replace").encode()
    raw = raw.replace(b"\0", b"")
    if not looks_like_message(raw):
        parsed = Parsed(has_headers=False)
        _add(parsed, decode(raw[:LONGEST_PART], None), html=_is_html(raw), group=None)
        return parsed
    raw = raw.lstrip(b"\r\n")
    parsed = Parsed()
    head = _head(raw)
    body = raw[len(head) :]
    head = _bounded(head, parsed)
    message = message_from_bytes(head + b"\n\n", policy=policy.default)
    parsed.fields = _fields(message)
    whole = None
    if len(_MARKS.findall(raw)) <= DEEPEST:
        whole = _attempt(lambda: message_from_bytes(head + body, policy=policy.default), None)
    if whole is not None:
        _walk(whole, parsed)
    if whole is None or not (parsed.parts or parsed.attachments or parsed.encrypted):
        if whole is None:
            parsed.notes.append(f"It nests more than {DEEPEST} parts, so it was read as one flat text.")
        flat = _MIME_LINES.sub(b"", _BASE64_LINES.sub(b"", body))[:LONGEST_PART]
        _add(parsed, decode(flat, None), html=_is_html(flat), group=None)
    return parsed


def _is_html(raw: bytes) -> bool:
    return bool(re.search(rb"<(?:html|body|!doctype html|table|div|p)\b", raw[:50_000], re.IGNORECASE)) and b"</" in raw


def _bounded(head: bytes, parsed: Parsed) -> bytes:
    """`head` with long headers cut and at most MOST_HEADERS of them."""
    if len(head) <= LONGEST_HEADER:
        return head
    headers = re.split(rb"\r?\n(?![ \t])", head[:4_000_000])
    if len(headers) > MOST_HEADERS or any(len(header) > LONGEST_HEADER for header in headers):
        parsed.notes.append("Its headers are unusually long and were cut.")
    return b"\n".join(header[:LONGEST_HEADER] for header in headers[:MOST_HEADERS])


def _attempt(make: Callable[[], T], otherwise: T) -> T:
    """What `make` gives. The standard library's parsers raise errors of many kinds on malformed mail, among them
    AttributeError, IndexError and RecursionError; whichever it is, this piece cannot be read."""
    try:
        return make()
    except Exception:  # noqa: BLE001 - see above; a mail must never stop a batch
        return otherwise


def _raw(message: EmailMessage, name: str) -> list[str]:
    """The values of header `name`, unfolded; bytes beyond ASCII as UTF-8 or else Windows-1252."""
    values = [str(value) for key, value in message.raw_items() if key.lower() == name]
    return [re.sub(r"\r?\n", "", decode(value.encode("utf-8", "surrogateescape"), None)) for value in values]


def _header(message: EmailMessage, name: str) -> Any:
    """Header `name` as the policy understands it; None when there is none."""
    values = _raw(message, name)
    if not values:
        return None
    return _attempt(lambda: policy.default.header_factory(name, values[0]), values[0])


def _text_of(message: EmailMessage, name: str) -> str:
    value = _header(message, name)
    return " ".join(clean(str(value)).split())[:1000] if value is not None else ""


def _address(message: EmailMessage, name: str) -> tuple[str, str]:
    """(display name, address) of the first address in header `name`."""
    value = _header(message, name)
    if value is None:
        return "", ""
    none: list[tuple[str, str]] = []
    found = _attempt(lambda: [(str(a.display_name), str(a.addr_spec)) for a in value.addresses], none)
    name_, address = (
        found[0] if found and found[0][1] not in ("", "<>") else _attempt(lambda: parseaddr(str(value)), ("", ""))
    )
    return " ".join(clean(name_).split())[:300], clean(address).strip().lower()[:300]


def _fields(message: EmailMessage) -> Fields:
    name, address = _address(message, "from")
    # Only the topmost one: the last server wrote it, those below may be the sender's own invention.
    results = (_raw(message, "authentication-results") or [""])[0]
    authentication = {kind.lower(): result.lower() for kind, result in reversed(_AUTH.findall(results[:4000]))}
    if "spf" not in authentication and (spf := _raw(message, "received-spf")):
        authentication["spf"] = spf[0].split()[0].lower()[:20] if spf[0].split() else ""
    return Fields(
        from_name=name,
        from_address=address,
        reply_to=_address(message, "reply-to")[1],
        to=_text_of(message, "to")[:300],
        subject=_text_of(message, "subject"),
        date=_text_of(message, "date")[:100],
        authentication=authentication,
        signed_by=tuple(host.lower() for host in _SIGNED.findall(results[:4000])),
    )


def _walk(message: EmailMessage, parsed: Parsed) -> None:
    """Collect the leaves of `message` in reading order, without recursion."""
    stack: list[tuple[Any, int | None]] = [(message, None)]
    groups = 0
    while stack:
        part, group = stack.pop()
        kind = _attempt(part.get_content_type, "text/plain")
        if kind in ("multipart/encrypted", "application/pgp-encrypted", "application/pkcs7-mime"):
            parsed.encrypted = True
            continue
        children = part.get_payload() if part.is_multipart() else None
        if isinstance(children, list):
            if kind == "multipart/alternative":
                groups += 1
                group = groups
            stack.extend((child, group) for child in reversed(children))
        else:
            _leaf(part, kind, group, parsed)


def _leaf(part: EmailMessage, kind: str, group: int | None, parsed: Parsed) -> None:
    name = _attempt(part.get_filename, None)
    disposition = _attempt(part.get_content_disposition, None)
    if not kind.startswith(("text/", "multipart/")) or disposition == "attachment" or kind == "text/calendar":
        parsed.attachments.append(Attachment(" ".join(clean(str(name or "")).split())[:200], clean(kind)[:100]))
        return
    payload = _attempt(lambda: part.get_payload(decode=True), None)
    if not isinstance(payload, bytes):
        return
    if len(payload) > LONGEST_PART:
        parsed.notes.append(f"Only the first {LONGEST_PART // 1000:,} KB of a part of its text were read.")
    charset = _attempt(part.get_content_charset, None)
    _add(parsed, decode(payload[:LONGEST_PART], charset), html=kind == "text/html" or _is_html(payload), group=group)


def _add(parsed: Parsed, text: str, *, html: bool, group: int | None) -> None:
    if "-----BEGIN PGP MESSAGE-----" in text:
        parsed.encrypted = True
        text = _ARMOUR.sub(" ", text)
    if text.strip():
        parsed.parts.append(Part(html, clean(text), group))
