"""InspectScreen: a look inside one message: its tokens, how likely they were, what else was, what they look at.

What is seen is an Inspection; here are the keys, the questions to the engine in the background, and what is where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from assistant.chat_service import ChatService
from assistant.errors import AssistantError
from assistant.inspecting import asking
from assistant.inspecting.heat import relative
from assistant.inspecting.inspection import Inspection
from assistant.inspecting.pieces import Piece
from assistant.inspecting.shades import digit, surprise_level, weight_level
from assistant.screens.inspect.keys import INSPECT_KEYS, INTRO
from assistant.screens.keyed import Keyed
from assistant.storage.rows import Message
from assistant.widgets.inside import Choices, HeatStrips
from assistant.widgets.key_line import KeyLine
from assistant.widgets.tokens import TokenText
from engine.errors import EngineError

LOOK_SECONDS = 0.1  # between two looks at a reply that is being made
REST_SECONDS = 0.15  # how long one stays at a token before the engine is asked about it
WIDE, HIGH = 110, 30  # from here on choices and attention stand side by side


@dataclass(frozen=True)
class Branch:
    """What one came back with: a reply beside `message` that begins with `pieces`."""

    message: Message
    pieces: list[Piece]


class InspectScreen(Keyed[Branch | None]):
    """Look inside `message`. `now` gives it as it has become; `may_begin` says whether a branch can begin."""

    BINDINGS: ClassVar[list[BindingType]] = [*INSPECT_KEYS]
    keys, intro = INSPECT_KEYS, INTRO

    def __init__(
        self, service: ChatService, message: Message, now: Callable[[], Message | None], may_begin: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._service, self._message, self._now, self._may_begin = service, message, now, may_begin
        self.inspection = Inspection()
        self._attending = False  # the attention is shown, and shades the text
        self._ids = False
        self._problem = ""
        self._waiting = ""

    def compose(self) -> ComposeResult:
        yield Static("", markup=False, id="inside")
        yield TokenText()
        with Horizontal(id="panels"):
            yield Choices()
            yield HeatStrips()
        yield KeyLine()

    def on_mount(self) -> None:
        self._follow()
        self.set_interval(LOOK_SECONDS, self._follow)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= WIDE and event.size.height >= HIGH, "-both")
        self.call_after_refresh(self.show)

    def _follow(self) -> None:
        """Take what has come of the reply; once it is done, ask for the whole."""
        if self.inspection.whole or self._waiting or self._problem:
            return
        record = self._service.records.of(self._message.id)
        grown = record is not None and self.inspection.told(record.pieces)
        self._message = self._now() or self._message
        if self._message.status == "streaming":
            if grown:
                self.show()
            return
        self._waiting = "The model reads the message again …"
        self._look()
        self.show()

    @work(group="look", exclusive=True)
    async def _look(self) -> None:
        try:
            self.inspection.found(await asking.look(self._service, self._message))
        except (EngineError, AssistantError) as error:
            self._problem = str(error)
        self._waiting = ""
        self._moved()

    @work(group="attention", exclusive=True)
    async def _attend(self) -> None:
        """Ask what the chosen token looks at, once one stays there."""
        place = self.inspection.cursor
        await asyncio.sleep(REST_SECONDS)
        tokens = tuple(piece.token for piece in self.inspection.pieces)
        try:
            self.inspection.heats[place] = await asking.attention(self._service, tokens, place)
        except (EngineError, AssistantError, ValueError) as error:
            self.notify(str(error), severity="warning")
            return
        self.show()

    # What is on screen

    @property
    def _heat_shown(self) -> bool:
        return self._attending or self.has_class("-both")

    def _moved(self) -> None:
        if self._heat_shown and self.inspection.wants_heat:
            self._attend()
        self.show()

    def show(self) -> None:
        """Everything as it is now."""
        if not self.is_mounted:
            return
        self.set_class(self._attending, "-attending")
        inspection = self.inspection
        self.query_one("#inside", Static).update(self._title())
        shade, colour = self._shades()
        texts = [self._text(at, piece, shade) for at, piece in enumerate(inspection.pieces)]
        texts += ["■"] if inspection.whole else []
        self.query_one(TokenText).show(texts, inspection.cursor, shade, colour)
        self.query_one(Choices).show(inspection)
        self.query_one(HeatStrips).show(inspection, self._heat_waits())

    def _title(self) -> str:
        inspection = self.inspection
        state = self._problem or self._waiting
        if not state and not inspection.whole:
            state = "as it is made" if inspection.pieces else "The reply has not begun yet."
        return "  ·  ".join(part for part in ("Inside", state, inspection.summary(), *inspection.notes) if part)

    def _heat_waits(self) -> str:
        if not self.inspection.whole:
            return "What the tokens look at can be seen when the reply is done."
        behind = self.inspection.cursor >= len(self.inspection.pieces)
        return "Nothing stands here yet that could look." if behind else "…"

    def _shades(self) -> tuple[Callable[[int], int | None], str]:
        """How each token is shaded: by what the chosen one looks at, or by how likely it was."""
        inspection = self.inspection
        if self._attending and (heat := inspection.heat) is not None:
            levels = [weight_level(weight) for weight in relative(heat.of_places(inspection.row))]
            return lambda at: levels[at] if at < len(levels) else 0, "secondary"
        pieces = inspection.pieces

        def likely(at: int) -> int | None:
            if at < inspection.prompt:
                return None
            return surprise_level(pieces[at].probability) if at < len(pieces) else 0

        return likely, "primary"

    def _text(self, at: int, piece: Piece, shade: Callable[[int], int | None]) -> str:
        """A token as it is read: with its number where these are wanted, with a digit where there is no colour."""
        mark = f"⟨{piece.token}⟩" if self._ids else ""
        if (self.app.no_color or self.app.native_ansi_color) and not self._ids:
            if self._attending and self.inspection.heat is not None:
                level = shade(at)
                mark = "₀₁₂₃₄₅₆₇₈"[level] if level else ""
            else:
                mark = "│" if at < self.inspection.prompt else digit(piece.probability)
        if piece.text.endswith("\n"):
            return piece.text[:-1] + mark + "\n"
        return piece.text + mark

    # What one can do

    @on(TokenText.Chosen)
    def _chosen(self, event: TokenText.Chosen) -> None:
        self.inspection.go(event.index)
        self._moved()

    @on(HeatStrips.Picked)
    def _row_picked(self, event: HeatStrips.Picked) -> None:
        self.inspection.row = event.row
        self.show()

    @on(Choices.Picked)
    def _choice_picked(self, event: Choices.Picked) -> None:
        self.action_branch(event.number)

    def action_go(self, by: int) -> None:
        self.inspection.go(self.inspection.cursor + by)
        self._moved()

    def action_go_to(self, place: int) -> None:
        self.inspection.go(self.inspection.last if place < 0 else place)
        self._moved()

    def action_go_reply(self) -> None:
        self.action_go_to(self.inspection.prompt)

    def action_surprise(self, by: int) -> None:
        self.inspection.go_surprise(by)
        self._moved()

    def action_row(self, by: int) -> None:
        if self._attending:
            self.inspection.move_row(by)
            self.show()
        else:
            self.inspection.go(self.query_one(TokenText).beside(by))
            self._moved()

    def action_attention(self) -> None:
        self._attending = not self._attending
        self._moved()

    def action_ids(self) -> None:
        self._ids = not self._ids
        self.show()

    def action_branch(self, number: int) -> None:
        wanted = self.inspection.branch(number)
        if isinstance(wanted, str):
            self.notify(wanted, severity="warning")
        elif self._may_begin():
            self.dismiss(Branch(self._message, self.inspection.begun(number)))

    def action_leave(self) -> None:
        self.dismiss(None)
