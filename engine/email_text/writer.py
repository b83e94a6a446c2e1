"""Text as it is written off HTML piece by piece: single spaces, line ends, gaps, what waits for the end of a word."""

from __future__ import annotations

import re
import unicodedata

from engine.email_text.plain import clean

_SPACE = re.compile(r"\s+")
_WORD_GOES_ON = re.compile(r"(?:[\u00ad\u200b-\u200f\u2060-\u2064]*\w)*")
_ENDS_WORD = re.compile(r"[\w.,;:!?%)\]]")  # a gap between these two is a space, and one before a comma is none
_BEGINS_WORD = re.compile(r"[\w$€£(\[]")
_MIRRORED = str.maketrans("()[]{}<>", ")(][}{><")


class Writer:
    """Text with single spaces and line ends, and where one is in it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.length = 0
        self.ends = "\n"  # what the text ends with, as far as it matters: " ", "\n" or a letter
        self._behind = ""  # to be written when the word has ended
        self._gap = False  # whether the word has ended, though no space is there
        self.held = False  # whether what is to be behind the word waits on

    def write(self, text: str) -> None:
        text = _SPACE.sub(" ", clean(text))  # "&#27;" is an escape, too
        if not text:
            return
        if self._behind and not self.held:
            more = _WORD_GOES_ON.match(text) if self.ends.isalnum() and not self._gap else None
            word = more[0] if more else ""
            self._put(word)
            text = text[len(word) :]
            if not text:
                return
            self.end_word()
        elif self._gap and _ENDS_WORD.match(self.ends) and _BEGINS_WORD.match(text):
            self._put(" ")
        self._gap = False
        self._put(text)

    def behind(self, text: str) -> None:
        """Write `text` behind the word that has been begun."""
        if not self._behind.endswith(text):
            self._behind += text

    def goes_on_with(self, text: str) -> bool:
        """Whether `text` is what will be written behind the word."""
        return self._behind == text

    def gap(self) -> None:
        """A gap is seen here: two words are not one."""
        self._gap = True

    def end_word(self) -> None:
        if self.held:
            return
        text, self._behind = self._behind, ""
        self._put(text)

    def line(self) -> None:
        self.end_word()
        self._gap = False
        if self.ends != "\n":
            self.pieces.append("\n")
            self.length += 1
            self.ends = "\n"

    def since(self, start: int) -> str:
        """What was written from `start` on."""
        wanted, pieces = self.length - start, []
        for piece in reversed(self.pieces):
            if wanted <= 0:
                break
            pieces.append(piece)
            wanted -= len(piece)
        return "".join(reversed(pieces))

    def turn(self, start: int) -> None:
        """Write from right to left what was written from `start` on, if that changes how its letters stand: those of
        Hebrew and Arabic do so by themselves."""
        text = self.since(start)
        if any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text):
            return
        while self.length > start:
            self.length -= len(self.pieces.pop())
        self.ends = self.pieces[-1][-1] if self.pieces else "\n"
        self._put("\n".join(line[::-1].translate(_MIRRORED) for line in text.split("\n")))

    def _put(self, text: str) -> None:
        if self.ends in " \n":
            text = text.lstrip(" ")
        if text:
            self.pieces.append(text)
            self.length += len(text)
            self.ends = text[-1]
