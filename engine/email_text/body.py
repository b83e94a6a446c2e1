"""A mail's parts → its text: of alternatives the one that people see, HTML as they see it."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.email_text.html_text import Rendered, render
from engine.email_text.parts import Choice, Part, Parts
from engine.email_text.plain import squeeze

ENOUGH = 20  # words of HTML that are read instead of a plain text, however long that is
MUCH_LONGER = 4  # times as many words as the HTML: then that only says to look elsewhere


@dataclass
class Body:
    """What is read of some parts."""

    text: str = ""
    html: bool = False
    seldom: bool = False  # see `Part`
    renders: list[Rendered] = field(default_factory=list)  # of every HTML part, read or not
    unread: list[Body] = field(default_factory=list)  # the alternatives that were not chosen
    notes: list[str] = field(default_factory=list)


def read(parts: Parts) -> Body:
    """The text of `parts` in their order."""
    body = Body(seldom=bool(parts) and all(isinstance(part, Part) and part.seldom for part in parts))
    pieces = []
    for part in parts:
        piece = _choose(part) if isinstance(part, Choice) else _read(part)
        pieces.append(piece.text)
        body.html |= piece.html and bool(piece.text)
        body.renders += piece.renders
        body.unread += piece.unread
        body.notes += piece.notes
    body.text = "\n\n".join(piece for piece in pieces if piece)
    return body


def _read(part: Part) -> Body:
    if not part.html:
        return Body(squeeze(part.text))
    rendered = render(part.text)
    text = rendered.text
    hidden = " ".join(piece.text for piece in rendered.hidden)
    # Nearly all of it unseen: then it is the way it is judged that is wrong, or the mail. Read it all.
    if len(text.split()) < 8 and len(hidden.split()) > 3 * len(text.split()) + 8:
        text = f"{text}\n{hidden}"
    notes = ["Its HTML is unusually large; only its beginning was read."] if rendered.cut else []
    return Body(squeeze(text), True, renders=[rendered], notes=notes)


def _choose(choice: Choice) -> Body:
    """The last HTML among the branches, or else the last plain text: what people see of a choice."""
    branches = [read(branch) for branch in choice.branches]
    said = [branch for branch in branches if branch.text]
    pages = [branch for branch in said if branch.html]
    texts = [branch for branch in said if not branch.html]
    plain = [branch for branch in texts if not branch.seldom] or texts
    chosen = next(reversed(pages or plain), Body())
    if pages and plain:
        words = len(chosen.text.split())
        if words < ENOUGH and words * MUCH_LONGER < len(plain[-1].text.split()):
            chosen = plain[-1]
    return Body(
        chosen.text,
        chosen.html,
        renders=[rendered for branch in branches for rendered in branch.renders],
        unread=[*chosen.unread, *(branch for branch in said if branch is not chosen)],
        notes=[note for branch in branches for note in branch.notes],
    )
