"""Live: the reply that is being made, and where it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.chat_service import Turn
from assistant.widgets.transcript import ReplyView


@dataclass
class Live:
    """It goes on while another chat is looked at; then it has no view."""

    turn: Turn
    view: ReplyView | None
    asked: str = ""
    text: str = ""
