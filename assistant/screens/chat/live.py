"""Live: the reply that is being made. It goes on while another chat is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.chat_service import Turn


@dataclass
class Live:
    """Which turn it is, what was asked (to give it back should nothing come of it) and what has been said."""

    turn: Turn
    asked: str = ""
    text: str = ""
