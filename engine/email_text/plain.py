"""Bytes → text that is safe on a terminal: charsets that lie, control characters, escape sequences."""

from __future__ import annotations

import codecs
import re

ESCAPE = "\u241b"  # what stands for the ESC character: seen, and without effect
OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_PLAIN_BREAKS = str.maketrans({"\r": "\n", "\x0b": " ", "\x0c": " ", "\u2028": "\n", "\u2029": "\n", "\x1b": ESCAPE})
_NAME = re.compile(r"[\w.:+-]{1,40}")  # a comment may follow it
_OF_TEXTS = re.compile(
    r"ascii|utf-?(?:7|8|8-sig|16|32)(?:-[lb]e)?|iso(?:8859|2022).*|cp\d+|koi8-.|kz1048|mac-.*|tis-620|ptcp154|hp-roman8"
    r"|big5.*|gb2312|gbk|gb18030|hz|johab|shift_jis.*|euc_.*"
)
# What mail programs read instead, as senders write more than the charset has that they declare (WHATWG Encoding).
_WIDER = {"iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932"}
_GAPS = re.compile(r"[ \t\xa0\u3000\u2000-\u200a]+")
_LINES = re.compile(r" ?\n(?: ?\n)+ ?")


def _codec(charset: str | None) -> str:
    """The name that Python has for the `charset` a mail declares; "" where none of texts is meant. Those that are no
    charsets at all (punycode, idna, unicode_escape) take minutes, or make of a text what no mail program shows."""
    name = _NAME.search(charset or "")
    try:
        codec = codecs.lookup(name[0]).name if name else ""
    except (LookupError, ValueError):
        return ""
    return codec if _OF_TEXTS.fullmatch(codec) else ""


def _is_ascii(raw: bytes, codec: str) -> bool:
    """Whether these bytes are ASCII letters to every mail program, whatever it is told."""
    if codec.startswith(("utf-16", "utf-32")) and raw.count(0) > len(raw) / 3:
        return False
    return raw.isascii() and not codec.startswith(("utf-7", "hz", "iso2022"))


def decode(raw: bytes, charset: str | None) -> str:
    """`raw` by its declared `charset` when that works, else as UTF-8, else as Windows-1252. Never fails."""
    codec = _codec(charset)
    if _is_ascii(raw, codec):
        return raw.decode("ascii")
    for name in (_WIDER.get(codec, ""), codec, "utf-8"):
        if name and name != "ascii":
            try:
                return raw.decode(name)
            except (LookupError, ValueError, RuntimeError):
                continue
    return raw.decode("cp1252", "replace")


def clean(text: str) -> str:
    """`text` with plain line ends and no control characters but tab and newline; ESC becomes a visible sign."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").translate(_PLAIN_BREAKS))


def squeeze(text: str) -> str:
    """`text` with single spaces and at most one empty line in a row."""
    return _LINES.sub("\n\n", _GAPS.sub(" ", text)).strip()
