"""Transcript: a chat's messages, one of which may be selected. Only some are made: at first, one screenful."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.message import Message as Event
from textual.reactive import Reactive
from textual.widgets import Static

from assistant.screens.keys import MESSAGE_KEYS
from assistant.storage.rows import Message
from assistant.widgets.message import MessageView, QuestionView
from assistant.widgets.welcome import Welcome

if TYPE_CHECKING:
    from assistant.widgets.reply import ReplyView

PAGE = 24  # messages that are made at once when one reads back, and the most that are made at first
FEWEST = 4  # messages that are made at first, however long
FAR = 4 * PAGE  # messages between here and there that are not worth making on the way


class Elsewhere(Static):
    """Stands for messages that are not made."""

    virtual_size = Reactive(Size(0, 0), repaint=False)  # as in PageView

    def on_click(self) -> None:
        assert isinstance(self.parent, Transcript)
        self.parent.run_worker(self.parent.more() if isinstance(self, Earlier) else self.parent.later())


class Earlier(Elsewhere):
    """For those above that have not been made yet."""


class Later(Elsewhere):
    """For those below, where one has jumped far back."""


class Transcript(VerticalScroll):
    """All messages of the chat on screen. It follows a growing reply until the reader scrolls up."""

    BINDINGS: ClassVar[list[BindingType]] = [*MESSAGE_KEYS]
    can_focus = True
    virtual_size = Reactive(Size(0, 0), repaint=False)  # as in PageView

    class Selected(Event):
        """Another message is selected, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.selected: int | None = None
        self._chat: int | None = None
        self._history: list[Message] = []
        self._made = (0, 0)  # from which message to before which one widgets are made
        self._views: dict[int, MessageView] = {}
        self._fitting = asyncio.Lock()

    def view(self, message: int) -> MessageView | None:
        """The widget of a message, where it has been made."""
        return self._views.get(message)

    def reply(self, message: int) -> ReplyView | None:
        """The widget of a reply, where it has been made."""
        view = self._views.get(message)
        return None if view is None or view.message.role == "user" else cast("ReplyView", view)

    def replies(self) -> list[ReplyView]:
        """The widgets of all replies that have been made."""
        return [reply for message in self._views if (reply := self.reply(message)) is not None]

    async def show(self, chat: int | None, messages: Sequence[Message], waiting: str = "", *, end: bool = True) -> None:
        """Show a chat. Widgets of messages that stay, stay; `waiting` stands under a reply without a word yet.

        `end`: go to the end.
        """
        async with self._fitting, self.batch():
            another = chat != self._chat or (self._history and not messages)
            if another:
                self.select(None)
                self._chat, self._views, self._history, self._made = chat, {}, [], (0, 0)
            window = self._window(messages, end)
            self._history = list(messages)
            if another:
                await self._reuse(messages[slice(*window)], waiting)
            await self._fit(*window, waiting)
        if self.selected not in self._views:
            self.select(None)
        if end and messages:
            self.anchor()
            self.call_after_refresh(self._fill)
        elif not messages:
            self.release_anchor()
            self.scroll_home(animate=False)

    async def _reuse(self, messages: Sequence[Message], waiting: str) -> None:
        """Have the last widgets of the former chat show the last of `messages`: faster than making new ones."""
        former = [child for child in self.children if isinstance(child, MessageView)]
        self.screen.clear_selection()
        for message in reversed(messages):
            if not former or isinstance(former[-1], QuestionView) != (message.role == "user"):
                break
            view = self._views[message.id] = former.pop()
            view.become(message, _note(message, waiting))
        await self.remove_children(former)

    def _window(self, messages: Sequence[Message], end: bool) -> tuple[int, int]:
        """What of `messages` to make: what is made, new ones at the end, and a screenful at least."""
        far_back = self._made[1] < len(self._history)
        places = [] if end and far_back else [i for i, m in enumerate(messages) if m.id in self._views]
        stop = places[-1] + 1 if far_back and places else len(messages)
        return min([*places[:1], max(stop - self._screenful(messages[:stop]), 0)]), stop

    def _screenful(self, messages: Sequence[Message]) -> int:
        """How many of the last messages fill the screen, by what their words alone take. Each costs time to make."""
        rows, width = self.size.height or PAGE, max(self.size.width - 6, 20)
        for count, message in enumerate(reversed(messages[-PAGE:]), 1):
            rows -= 2 + sum(1 + len(line) // width for line in message.content.split("\n"))
            if rows < 0 and count >= FEWEST:
                return count
        return PAGE

    async def _fill(self) -> None:
        """Where the words took less room than they were thought to: what is above them, too."""
        if self._made[0] and self.max_scroll_y == 0 and self.size.height:
            await self.more()

    async def _fit(self, start: int, stop: int, waiting: str) -> None:
        """Make the widgets be those of the messages from `start` to before `stop`."""
        messages, self._made = self._history[start:stop], (start, stop)
        wanted = {m.id for m in messages}
        gone = [self._views.pop(i) for i in list(self._views) if i not in wanted]
        if gone:
            await self.remove_children(gone)
        stays = Earlier if start else Welcome if not messages else ()
        await self.remove_children(
            [w for w in self.query("Welcome, .rule, Earlier, Later") if not isinstance(w, stays)]
        )
        if start:
            text = f"⋯ {start} earlier messages; click here or press k to show them"
            if earlier := self.query(Earlier):
                earlier.first().update(text, layout=False)
            else:
                await self.mount(Earlier(text, markup=False), before=0)
        new: list[MessageView] = []
        for message in messages:
            note = _note(message, waiting)
            if (view := self._views.get(message.id)) is None:
                view = _view(message, note)
                self._views[message.id] = view
                new.append(view)
                continue
            if new:
                await self.mount_all(new, before=view)  # all at once: one layout, not one for each
                new = []
            view.refit(message, note)
        await self.mount_all(new)
        if later := len(self._history) - stop:
            await self.mount(Later(f"⋯ {later} later messages; click here, or press End to go there", markup=False))
        await self._rule()
        if not messages and not self.query(Welcome):
            await self.mount(Welcome())

    async def _rule(self) -> None:
        """The line above the first message that the last reply could still see."""
        dropped = next((m.dropped for m in reversed(self._history) if m.dropped is not None), 0)
        talk = [m for m in self._history if m.role != "system"]
        if dropped and dropped < len(talk) and (view := self._views.get(talk[dropped].id)):
            text = f"── the model no longer sees the {dropped} messages above ──"
            await self.mount(Static(text, markup=False, classes="rule"), before=view)

    async def more(self, upto: int | None = None) -> None:
        """Make a page of earlier messages, or those from message `upto` on; far from here, only its neighbours."""
        start, stop = self._made
        place = next((i for i, m in enumerate(self._history) if m.id == upto), max(start - PAGE, 0))
        if place < start - FAR or place >= stop + FAR:
            start, stop = max(place - PAGE // 2, 0), place + PAGE // 2
        elif place >= stop:
            stop = place + PAGE
        elif place < start:
            place = min(place, max(start - PAGE, 0))
        async with self._fitting, self.batch():
            await self._fit(min(start, place), min(stop, len(self._history)), "")

    async def later(self) -> None:
        """Make a page of later messages."""
        start, stop = self._made
        async with self._fitting, self.batch():
            await self._fit(start, min(stop + PAGE, len(self._history)), "")

    async def action_scroll_end(self) -> None:  # type: ignore[override]
        """To the chat's end, also where that is not made."""
        if self._made[1] < len(self._history):
            await self.show(self._chat, self._history)
        super().action_scroll_end()

    # Selecting

    @property
    def messages(self) -> Sequence[Message]:
        """All of the chat, also those that no widgets are made of."""
        return self._history

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
        made = message not in self._views
        if made:
            await self.more(message)
        self.select(message)
        self.release_anchor()
        self._bring(message)
        if made:
            self.call_after_refresh(self._bring, message)

    def _bring(self, message: int) -> None:
        """Bring `message` on screen, if it still is the one that is selected."""
        if message == self.selected and (view := self._views.get(message)):
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

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        super()._on_mouse_scroll_down(event)
        if self.scroll_y >= self.max_scroll_y - 1 and self.query(Later):
            self.run_worker(self.later(), exclusive=True)


def _note(message: Message, waiting: str) -> str:
    return waiting if message.status == "streaming" and not message.content else ""


def _view(message: Message, waiting: str) -> MessageView:
    if message.role == "user":
        return QuestionView(message)
    from assistant.widgets.reply import ReplyView

    return ReplyView(message, waiting)
