"""Transcript: a chat's messages, one of which may be selected. Only the last ones are made until one reads back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message as Event
from textual.widgets import Static

from assistant.screens.keys import MESSAGE_KEYS
from assistant.storage.rows import Message
from assistant.widgets.message import MessageView, QuestionView, ReplyView

PAGE = 24  # messages that are made at once

WELCOME = """\
homespun, a small chat assistant made at home.
Private and offline: all stays on this computer.
I answer simple things; do not trust my facts.
Enter sends · Ctrl+J new line · F1 help"""


class Earlier(Static):
    """Stands for the messages that have not been made yet."""

    def on_click(self) -> None:
        assert isinstance(self.parent, Transcript)
        self.parent.run_worker(self.parent.more())


class Transcript(VerticalScroll):
    """All messages of the chat on screen. It follows a growing reply until the reader scrolls up."""

    BINDINGS: ClassVar[list[BindingType]] = [*MESSAGE_KEYS]
    can_focus = True

    class Selected(Event):
        """Another message is selected, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.selected: int | None = None
        self._chat: int | None = None
        self._history: list[Message] = []
        self._views: dict[int, MessageView] = {}
        self._fitting = asyncio.Lock()

    def view(self, message: int) -> MessageView | None:
        """The widget of a message, where it has been made."""
        return self._views.get(message)

    async def show(self, chat: int | None, messages: Sequence[Message], waiting: str = "", *, end: bool = True) -> None:
        """Show a chat. Widgets of messages that stay, stay; `waiting` stands under a reply without a word yet.

        `end`: go to the end.
        """
        async with self._fitting, self.batch():
            shown = max(PAGE, len(self._views) + len(messages) - len(self._history))
            if chat != self._chat or not messages:
                shown = PAGE
                self._chat, self._views, self.selected = chat, {}, None
                await self.remove_children()
            self._history = list(messages)
            await self._fit(messages[-shown:], waiting)
        if self.selected not in self._views:
            self.select(None)
        if end:
            self.anchor()

    async def _fit(self, messages: Sequence[Message], waiting: str) -> None:
        """Make the widgets be those of `messages`."""
        wanted = {m.id for m in messages}
        gone = [self._views.pop(i) for i in list(self._views) if i not in wanted]
        if gone:
            await self.remove_children(gone)
        for extra in self.query("#welcome, .rule, Earlier"):
            await extra.remove()
        hidden = len(self._history) - len(messages)
        place: Static | None = None
        if hidden:
            place = Earlier(f"⋯ {hidden} earlier messages; click here or press k to show them", markup=False)
            await self.mount(place, before=0)
        for index, message in enumerate(messages):
            note = waiting if message.status == "streaming" and not message.content else ""
            if (view := self._views.get(message.id)) is None:
                view = QuestionView(message) if message.role == "user" else ReplyView(message, note)
                self._views[message.id] = view
                await self.mount(
                    view, before=index + bool(hidden) if index + bool(hidden) < len(self.children) else None
                )
            elif isinstance(view, ReplyView):
                await view.refit(message, note)
            else:
                await view.refit(message)
        await self._rule()
        if not messages:
            await self.mount(Static(WELCOME, markup=False, id="welcome"))

    async def _rule(self) -> None:
        """The line above the first message that the last reply could still see."""
        dropped = next((m.dropped for m in reversed(self._history) if m.dropped is not None), 0)
        talk = [m for m in self._history if m.role != "system"]
        if dropped and dropped < len(talk) and (view := self._views.get(talk[dropped].id)):
            text = f"── the model no longer sees the {dropped} messages above ──"
            await self.mount(Static(text, markup=False, classes="rule"), before=view)

    async def more(self, upto: int | None = None) -> None:
        """Make a page of earlier messages, or all from message `upto` on."""
        first = len(self._history) - len(self._views)
        places = [i for i, m in enumerate(self._history) if m.id == upto]
        start = min([*places, max(first - PAGE, 0)])
        async with self._fitting, self.batch():
            await self._fit(self._history[start:], "")

    # Selecting

    @property
    def last(self) -> Message | None:
        return self._history[-1] if self._history else None

    @property
    def message(self) -> Message | None:
        """The message that is selected; the last one where none is."""
        for message in reversed(self._history):
            if message.id == self.selected or self.selected is None:
                return message
        return None

    def select(self, message: int | None) -> None:
        """Select a message, or none."""
        if self.selected in self._views:
            self._views[self.selected].remove_class("-selected")
        self.selected = message
        if message is not None and (view := self._views.get(message)):
            view.add_class("-selected")
        self.post_message(self.Selected())

    async def move(self, by: int) -> None:
        """Select the message `by` places further on."""
        ids = [m.id for m in self._history]
        if not ids:
            return
        at = ids.index(self.selected) + by if self.selected in ids else len(ids) - 1
        await self.go(ids[max(0, min(at, len(ids) - 1))])

    async def go(self, message: int) -> None:
        """Select `message` and bring it on screen."""
        if message not in self._views:
            await self.more(message)
        self.select(message)
        if view := self._views.get(message):
            self.release_anchor()
            self.scroll_to_widget(view, animate=False, top=view.region.height > self.size.height)

    def on_focus(self) -> None:
        if self.selected is None and self._history:
            self.select(self._history[-1].id)

    @on(MessageView.Picked)
    def _picked(self, event: MessageView.Picked) -> None:
        event.stop()
        self.focus(scroll_visible=False)
        self.select(event.view.message.id)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        super()._on_mouse_scroll_up(event)
        if self.scroll_y <= 1 and self.query(Earlier):
            self.run_worker(self.more(), exclusive=True)
