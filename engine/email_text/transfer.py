"""A part's transfer encoding → its bytes, as tolerantly as mail programs read it.

Owns base64 and quoted-printable that are padded, labelled or cut off wrongly, and the reading of a tree of parts that
cannot be taken apart as one flat text. Never raises.
"""

from __future__ import annotations

import binascii
import re
from email.message import Message

from engine.email_text.headers import attempt, values_of

_ENCODING = re.compile(r"base64|quoted-printable|uuencode|x-uue\b")
_PADDING = re.compile(rb"=[=\s]*")  # where an encoder has ended, and another may begin
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_SOFT_BREAK = re.compile(rb"=[ \t]+(?=\r|\n|\Z)")
_BASE64_LINES = re.compile(rb"(?:^[A-Za-z0-9+/=]{40,}\r?\n?)+(?:^[A-Za-z0-9+/]{1,39}={0,2}\r?$)?", re.MULTILINE)
_MIME_LINES = re.compile(rb"^(?:--\S{1,80}|Content-[\w-]{1,30}:[^\n]*)\r?\n", re.MULTILINE | re.IGNORECASE)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
_MOST_RUNS = 1000  # times that base64 may end and begin again within one part


def payload_of(part: Message, most: int) -> bytes:
    """The decoded content of `part`, made from its first `most` bytes."""
    encodings = " ".join(values_of(part, "content-transfer-encoding")).lower()
    found = _ENCODING.search(encodings)
    if found and found[0] not in ("base64", "quoted-printable"):
        return _bytes(part)
    del part["content-transfer-encoding"]  # what the standard library makes of it is all or nothing
    raw = _bytes(part)[:most]
    if not found:
        return raw
    decoded = from_base64(raw) if found[0] == "base64" else from_quoted_printable(raw)
    # Declared as encoded and yet written in words: it was not.
    return raw if raw.count(b" ") > len(raw) / 20 and not is_readable(decoded) and is_readable(raw) else decoded


def _bytes(part: Message) -> bytes:
    found: object = attempt(lambda: part.get_payload(decode=True), None)
    return found if isinstance(found, bytes) else b""


def from_base64(raw: bytes) -> bytes:
    """`raw` decoded, whatever else stands in it and however it is padded. What follows the padding counts only if it
    is text once it is decoded: mailing lists add a line in plain words there."""
    first, *others = _PADDING.split(raw, maxsplit=_MOST_RUNS)
    return b"".join([_run(first), *(more for more in map(_run, others) if is_readable(more))])


def _run(raw: bytes) -> bytes:
    letters = _NOT_BASE64.sub(b"", raw)
    if len(letters) % 4 == 1:
        letters = letters[:-1]  # one letter is not even a byte
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def from_quoted_printable(raw: bytes) -> bytes:
    """`raw` decoded; blanks at the end of a line do not count (RFC 2045, 6.7)."""
    return binascii.a2b_qp(_SOFT_BREAK.sub(b"=", raw))


def is_readable(raw: bytes) -> bool:
    """Whether `raw` may be text in some charset: hardly any control characters."""
    start = raw[:4096]
    return len(start) - len(start.translate(None, _CONTROL)) <= len(start) / 50


def flattened(body: bytes, most: int) -> bytes:
    """`body` without its lines of MIME, its base64 decoded where that gives text; at most `most` bytes."""

    def plain(run: re.Match[bytes]) -> bytes:
        decoded = from_base64(run[0][: most * 4 // 3])
        return decoded + b"\n" if is_readable(decoded) else b""

    flat = _MIME_LINES.sub(b"", _BASE64_LINES.sub(plain, body))[:most]
    return from_quoted_printable(flat) if b"quoted-printable" in body.lower() else flat
