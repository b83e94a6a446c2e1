"""VimKeys: vim's normal mode for a text area, those of its keys that one uses in a few lines of text.

h j k l w b e 0 ^ $ gg G, with numbers; i a I A o O; x X r; d c y with a motion or doubled; D C; p P; u Ctrl+R.
"""

from __future__ import annotations

from textual import events
from textual.widgets import TextArea

from assistant.prompting.vim_motions import INCLUSIVE, MOTIONS, move

ARROWS = {"left": "h", "right": "l", "home": "0", "end": "$"}
INSERTING = {"i", "a", "I", "A", "o", "O"}


class VimKeys:
    """`normal` says which mode `area` is in; it begins in the other one, inserting."""

    def __init__(self, area: TextArea) -> None:
        self._area = area
        self.normal = False
        self._count, self._pending = "", ""  # a number and an operator (or g, r) that wait for what follows
        self._register = ""

    def take(self, event: events.Key) -> bool:
        """Do what the key means; False where it means nothing of ours and goes on to others."""
        if not self.normal:
            if event.key == "escape":
                self._enter_normal()
                return True
            return False
        if event.key == "escape":
            waited, self._count, self._pending = bool(self._count or self._pending), "", ""
            return waited
        if event.key == "ctrl+r":
            self._area.redo()
            return True
        if event.is_printable and event.character:
            self._normal(event.character)
            return True
        if event.key in ARROWS:
            self._normal(ARROWS[event.key])
            return True
        return event.key in ("backspace", "delete") and self._normal("h" if event.key == "backspace" else "x")

    def insert(self) -> None:
        self.normal, self._count, self._pending = False, "", ""

    def _enter_normal(self) -> None:
        self.normal = True
        self._area.move_cursor_relative(columns=-1 if self._area.cursor_location[1] else 0)

    def _normal(self, key: str) -> bool:
        if key.isdecimal() and (key != "0" or self._count):
            self._count += key
        elif self._pending == "r":
            self._replace_one(key)
            self._pending = ""
        elif key in "dcygr" and not self._pending:
            self._pending = key
        else:
            keys, self._pending = self._pending + key, ""
            if keys in ("dg", "cg", "yg"):
                self._pending = keys
                return True
            count, self._count = self._count, ""
            self._do(keys, min(int(count or 1), 9999), bool(count))
        return True

    def _do(self, keys: str, count: int, counted: bool) -> None:
        area = self._area
        operator, motion = (keys[0], keys[1:]) if keys[0] in "dcy" and len(keys) > 1 else ("", keys)
        keys = {"D": "d$", "C": "c$"}.get(keys, keys)
        if keys in ("d$", "c$"):
            operator, motion = keys[0], "$"
        if keys in ("dd", "cc", "yy"):
            self._lines(keys[0], count)
        elif operator and motion in MOTIONS:
            self._operate(operator, motion, count, counted)
        elif motion in MOTIONS and not operator:
            area.move_cursor(move(self._text(), area.cursor_location, motion, count, counted=counted))
        elif keys in ("j", "k"):
            area.move_cursor_relative(rows=count if keys == "j" else -count)
        elif keys in INSERTING:
            self._begin_inserting(keys)
        elif keys in ("x", "X"):
            self._operate("d", "l" if keys == "x" else "h", count, counted)
        elif keys in ("p", "P"):
            self._put(before=keys == "P", count=count)
        elif keys == "u":
            area.undo()

    def _text(self) -> list[str]:
        return self._area.text.split("\n")

    def _begin_inserting(self, key: str) -> None:
        area = self._area
        row, column = area.cursor_location
        line = self._text()[row]
        if key in "oO":
            at = (row, len(line)) if key == "o" else (row, 0)
            area.insert("\n", at)
            area.move_cursor((row + 1, 0) if key == "o" else (row, 0))
        elif key == "a":
            area.move_cursor((row, min(column + 1, len(line))))
        elif key in "IA":
            area.move_cursor((row, 0 if key == "I" else len(line)))
        self.insert()

    def _operate(self, operator: str, motion: str, count: int, counted: bool) -> None:
        lines, here = self._text(), self._area.cursor_location
        if motion == "w" and operator == "c":
            motion = "e"  # as vim does: the space behind the word stays
        there = move(lines, here, motion, count, counted=counted)
        if motion in ("gg", "G"):
            self._lines(operator, abs(there[0] - here[0]) + 1, min(there[0], here[0]))
            return
        start, end = min(here, there), max(here, there)
        if motion in INCLUSIVE:
            end = (end[0], min(end[1] + 1, len(lines[end[0]])))
        elif motion == "w" and end[0] > start[0]:
            end = (start[0], len(lines[start[0]]))  # dw on a line's last word leaves the line's end
        self._register = self._area.get_text_range(start, end)
        if operator != "y":
            self._area.delete(start, end)
        self._area.move_cursor(start)
        if operator == "c":
            self.insert()

    def _lines(self, operator: str, count: int, first: int | None = None) -> None:
        lines = self._text()
        row = self._area.cursor_location[0] if first is None else first
        last = min(row + count, len(lines)) - 1
        self._register = "\n".join(lines[row : last + 1]) + "\n"
        if operator == "c":
            self._area.delete((row, 0), (last, len(lines[last])))
            self.insert()
        elif operator == "d":
            if last + 1 < len(lines):
                self._area.delete((row, 0), (last + 1, 0))
            else:
                self._area.delete((row - 1, len(lines[row - 1])) if row else (0, 0), (last, len(lines[last])))
            self._area.move_cursor((min(row, max(0, self._area.document.line_count - 1)), 0))

    def _put(self, *, before: bool, count: int) -> None:
        area, text = self._area, self._register * count
        row, column = area.cursor_location
        line = self._text()[row]
        if text.endswith("\n"):
            if before:
                area.insert(text, (row, 0))
            else:
                area.insert("\n" + text.removesuffix("\n"), (row, len(line)))
            area.move_cursor((row if before else row + 1, 0))
        elif text:
            area.insert(text, (row, column if before else min(column + 1, len(line))))

    def _replace_one(self, character: str) -> None:
        row, column = self._area.cursor_location
        if column < len(self._text()[row]):
            self._area.replace(character, (row, column), (row, column + 1))
            self._area.move_cursor((row, column))
