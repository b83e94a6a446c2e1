"""TextStream: token bytes in, text that may be shown out. Never half a character, never a part of a stop string."""

from __future__ import annotations

import codecs


class TextStream:
    """One reply's bytes on their way to the screen; bytes that make no character are left out."""

    def __init__(self, stop: tuple[str, ...] = (), *, skip: str = "") -> None:
        """`stop` are the strings that end the reply; `skip` is left out where the reply begins with it."""
        self._stop = tuple(s for s in stop if s)
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._skip = skip
        self._held = ""  # text that may turn out to be the beginning of a stop string
        self.stopped = False  # a stop string has come; nothing follows any more

    def push(self, data: bytes) -> str:
        """Take the next token's bytes; returns what is now certain, often everything, sometimes nothing."""
        if self.stopped:
            return ""
        text = self._decoder.decode(data)
        if text and self._skip:
            text, self._skip = text.removeprefix(self._skip), ""
        text = self._held + text
        found = [at for at in (text.find(s) for s in self._stop) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = self._maybe_stop(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """The rest, at the reply's end. Bytes of a character that was never completed are left out."""
        held, self._held = self._held, ""
        return held

    def _maybe_stop(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        longest = max((len(s) for s in self._stop), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(s.startswith(text[-size:]) for s in self._stop):
                return size
        return 0
