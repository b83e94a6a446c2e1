"""Inspection: what one sees while looking inside a message: its tokens, the chosen one, the chosen layer or head.

The state of the screen and everything that can be done to it, without a widget; questions to the engine are asking.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from assistant.inspecting.heat import Heat, Row
from assistant.inspecting.pieces import Piece, read_piece
from assistant.inspecting.shades import percent, quoted
from engine.questions import Inspected


class Inspection:
    """Grows while a reply is made (`told`); becomes whole when the engine has answered (`found`)."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.prompt = 0  # how many of the pieces are the prompt's
        self.cursor = 0
        self.then: Piece | None = None  # what would have come next
        self.end_tokens: frozenset[int] = frozenset()
        self.notes: list[str] = []  # what one must not overlook
        self.heats: dict[int, Heat] = {}  # place → what the token there looks at
        self.row = Row(0)
        self.whole = False  # prompt and all are here
        self._follows = True  # the cursor is at the end and stays there

    def told(self, pieces: Sequence[Piece]) -> bool:
        """The reply's pieces so far; whether there are new ones."""
        if self.whole or len(pieces) == len(self.pieces):
            return False
        self.pieces = list(pieces)
        if self._follows:
            self.cursor = len(self.pieces) - 1
        return True

    def found(self, answer: Inspected) -> None:
        """The whole: the cursor stays on its token, or goes to the reply's first one."""
        chosen = self.cursor if self.pieces and not self._follows else 0
        reply = [read_piece(row) for row in answer.reply]
        self.pieces = [*map(read_piece, answer.prompt), *reply]
        self.prompt, self.then = len(answer.prompt), read_piece(answer.then)
        self.end_tokens = frozenset(answer.end_tokens)
        self.whole = True
        self.cursor = min(self.prompt + chosen, len(self.pieces)) if reply else len(self.pieces)
        self.heats.clear()
        if answer.dropped_messages:
            self.notes.append(f"{answer.dropped_messages} oldest messages do not fit and are left out")
        if answer.left_out:
            self.notes.append(f"the last {answer.left_out} tokens of the reply do not fit this model's context")

    # Where one is

    @property
    def last(self) -> int:
        """The last place one can go to: behind the reply, where its end was chosen."""
        return len(self.pieces) if self.whole else max(0, len(self.pieces) - 1)

    @property
    def piece(self) -> Piece | None:
        """The chosen token; behind the reply, what would have come."""
        if self.cursor < len(self.pieces):
            return self.pieces[self.cursor]
        return self.then

    def go(self, to: int) -> None:
        self.cursor = max(0, min(to, self.last))
        self._follows = not self.whole and self.cursor >= len(self.pieces) - 1

    def go_surprise(self, by: int, below: float = 0.5) -> None:
        """To the next (previous) token of the reply that was less likely than not."""
        place = self.cursor + by
        while 0 <= place < len(self.pieces):
            probability = self.pieces[place].probability
            if probability is not None and probability < below:
                return self.go(place)
            place += by
        return None

    # Branching

    def branch(self, number: int) -> tuple[int, ...] | str:
        """The tokens of a reply that takes choice `number` (from 1) here; a sentence where it cannot."""
        piece = self.piece
        if not self.whole:
            return "A branch can begin when the reply is done and the model is free."
        if piece is None or self.cursor < self.prompt:
            return "A branch begins inside the reply: this token is the prompt's."
        if not 1 <= number <= len(piece.choices):
            return f"There is no alternative {number} here."
        token = piece.choices[number - 1].token
        said = tuple(p.token for p in self.pieces[self.prompt : self.cursor])
        if token in self.end_tokens and not said:
            return "A reply that ends before its first word would be empty."
        if token == piece.token and self.cursor < len(self.pieces):
            return "This is what was said here; choose another to branch."
        return (*said, token)

    def begun(self, number: int) -> list[Piece]:
        """The pieces that such a branch begins with."""
        piece = self.piece
        assert piece is not None
        choice = piece.choices[number - 1]
        taken = Piece(choice.token, choice.text, choice.probability, piece.choices)
        return [*self.pieces[self.prompt : self.cursor], taken]

    # Attention

    @property
    def heat(self) -> Heat | None:
        return self.heats.get(self.cursor)

    @property
    def wants_heat(self) -> bool:
        """Whether the engine should be asked what the chosen token looks at."""
        return self.whole and self.cursor < len(self.pieces) and self.cursor not in self.heats

    def move_row(self, by: int) -> None:
        """Choose the layer or head `by` rows further down."""
        if (heat := self.heat) is None:
            return
        rows = heat.rows(self.row.layer)
        here = rows.index(self.row) if self.row in rows else 0
        self.row = rows[max(0, min(here + by, len(rows) - 1))]

    # Words

    def summary(self) -> str:
        """How sure the model was of the reply."""
        sure = [p.probability for p in self.pieces if p.probability is not None]
        if not sure:
            return f"{len(self.pieces)} tokens"
        unlikely = sum(probability < 0.5 for probability in sure)
        prompt = f"prompt {self.prompt} tokens · " if self.prompt else ""
        return f"{prompt}reply {len(sure)} tokens, on average {percent(sum(sure) / len(sure))}, {unlikely} below 50 %"

    def describe(self) -> str:
        """The chosen token in a line."""
        piece = self.piece
        if piece is None:
            return ""
        if self.cursor >= len(self.pieces):
            return "here the reply ends; the likeliest to come were"
        where = f"{quoted(piece.text)}  token {piece.token}  place {self.cursor + 1}"
        if piece.probability is None:
            return f"{where}  {'special, ' if piece.special else ''}in the prompt"
        rank = f"choice {piece.rank}" if piece.rank else f"not among the first {len(piece.choices)}"
        return f"{where}  {percent(piece.probability)}, {rank}"
