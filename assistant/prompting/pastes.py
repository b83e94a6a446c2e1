"""Pastes are text: nothing between the two marks of a bracketed paste may count as keys.

Textual's parser goes on reading escape sequences inside a paste, and passes those that it does not know on as keys: a
pasted log with a colour or a bell in it would press Ctrl+G. So escape characters are taken out before they get there.
And its driver ends the app at a byte that is no UTF-8, which old mail is full of: such bytes are read as Windows-1252.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from textual._xterm_parser import XTermParser  # Textual has no public place for this
from textual.message import Message

START, END = "\x1b[200~", "\x1b[201~"


class PasteFilter:
    """Takes a terminal's input in pieces of any size, and gives it back without the escape characters in pastes."""

    def __init__(self) -> None:
        self._inside = False
        self._seen = ""  # the end of what went before, in which a mark may begin

    def __call__(self, data: str) -> str:
        given = ""
        while data:
            data, piece = self._paste(data) if self._inside else self._keys(data)
            given += piece
        return given

    def _keys(self, data: str) -> tuple[str, str]:
        """(what is left, what goes on): all of it at once, for a lone Escape must not wait."""
        text = self._seen + data
        at = text.find(START)
        if at < 0:
            self._seen = text[-len(START) + 1 :]
            return "", data
        end = at + len(START) - len(self._seen)
        self._inside, self._seen = True, ""
        return data[end:], data[:end]

    def _paste(self, data: str) -> tuple[str, str]:
        """(what is left, what goes on): what may be the beginning of the end mark waits for the rest."""
        text = self._seen + data
        at = text.find(END)
        if at >= 0:
            self._inside, self._seen = False, ""
            return text[at + len(END) :], text[:at].replace("\x1b", "") + END
        kept = next((n for n in range(len(END) - 1, 0, -1) if text.endswith(END[:n])), 0)
        self._seen = text[len(text) - kept :]
        return "", text[: len(text) - kept].replace("\x1b", "")


def as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """What stands for bytes that cannot be decoded: the characters that they are in Windows-1252, which is Latin 1 and
    more. A handler of errors; see `codecs.register_error`."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


def _decoder(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    return partial(codecs.getincrementaldecoder(encoding), errors=as_windows_1252.__name__)


def install() -> None:
    """Have every terminal's input go through a filter of its own. To be called before the app runs; twice is once."""
    feed = XTermParser.feed
    if feed.__module__ == __name__:
        return
    codecs.register_error(as_windows_1252.__name__, as_windows_1252)
    with suppress(ImportError):  # Windows, whose driver reads characters
        from textual.drivers import linux_driver

        linux_driver.getincrementaldecoder = _decoder  # type: ignore[assignment]

    def filtered(self: XTermParser, data: str) -> Iterable[Message]:
        if data:
            if not hasattr(self, "_homespun_pastes"):
                self._homespun_pastes = PasteFilter()  # type: ignore[attr-defined]
            data = self._homespun_pastes(data)  # type: ignore[attr-defined]
            if not data:  # all of it waits; to Textual, nothing is the end of the input
                return iter(())
        return feed(self, data)

    XTermParser.feed = filtered  # type: ignore[method-assign]
