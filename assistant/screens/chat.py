"""ChatScreen: the chat itself. It wires the widgets to the service and holds no rule of its own."""

from __future__ import annotations

from contextlib import aclosing
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Footer, Static, TextArea
from textual.worker import Worker

from assistant.chat_service import ChatService
from assistant.errors import AssistantError, StorageError
from assistant.models.background import Background
from assistant.models.shelf import Shelf
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.screens.help import HelpScreen
from assistant.screens.keys import KEYS
from assistant.screens.live import Live
from assistant.screens.loading import LoadingScreen
from assistant.screens.search import SearchScreen
from assistant.widgets.chat_list import ChatList
from assistant.widgets.prompt import Prompt
from assistant.widgets.status import StatusLine
from assistant.widgets.transcript import QuestionView, ReplyView, Transcript
from engine.errors import EngineError
from engine.protocol import Delta, Done, Started

NARROW = 72  # columns; with fewer, the list of chats goes
DRAFT_SECONDS = 0.5  # after the last key, the draft is saved


class ChatScreen(LoadingScreen):
    """One chat on screen, the others at the side."""

    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, service: ChatService, shelf: Shelf, adding: Background, warning: str = "") -> None:
        super().__init__(service, shelf, adding, warning)
        self._store = service.store
        self.chat: int | None = None
        self._replying: Worker[None] | None = None
        self._draft_timer: Timer | None = None
        self._draft = ""  # as of the last key
        self._sidebar = True

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield ChatList(id="chats")
            with Vertical():
                yield Static("New chat", id="title", markup=False)
                yield Static("", id="warning", markup=False)
                yield Transcript()
                yield Prompt(id="prompt")
        yield StatusLine(self._service.model.name)
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        self._warn(self._warning)
        await self._open(None)
        self.query_one(Prompt).focus()
        self.call_after_refresh(self._load)  # the first frame is drawn before anything slow begins

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW or not self._sidebar, "-narrow")

    async def on_unmount(self) -> None:
        self._save_draft()

    # Sending and replying

    @on(Prompt.Submitted)
    async def _submitted(self, event: Prompt.Submitted) -> None:
        if self._live is not None:
            self.notify("A reply is being made. Esc stops it; your text stays where it is.")
            return
        try:
            turn = self._service.ask(self.chat, event.text)
        except (EngineError, StorageError) as error:  # what was typed stays in the prompt
            self.notify(str(error), severity="warning")
            return
        self.chat = turn.chat
        self.query_one(Prompt).fill("")
        view = self._waiting_view()
        self._live = Live(turn, view, event.text)
        await self.query_one(Transcript).add(QuestionView(event.text.strip("\n")), view)
        self._refresh_list()
        self._replying = self._reply(self._live)

    def _waiting_view(self) -> ReplyView:
        loaded = self._service.client.loaded is not None
        return ReplyView(waiting="…" if loaded else "The model is still loading; the reply follows.")

    @work(group="reply")
    async def _reply(self, live: Live) -> None:
        status, state, problem = self.query_one(StatusLine), "stopped", ""
        try:
            async with aclosing(self._service.reply(live.turn)) as events:
                async for event in events:
                    if isinstance(event, Started):
                        self._model_is_there()
                        status.started(event)
                    elif isinstance(event, Delta):
                        live.text += event.text
                        if live.view is not None:
                            await live.view.write(event.text)
                    elif isinstance(event, Done):
                        status.done(event)
                        state = "stopped" if event.reason == "cancelled" else "complete"
        except (EngineError, AssistantError) as error:
            state, problem = "failed", str(error)
        finally:
            self._live = None
            if live.view is not None:
                await live.view.finish(state, problem)
        if problem:
            self._tell(live, problem)

    def _tell(self, live: Live, problem: str) -> None:
        """Say why there is no (whole) reply. A question without any goes back to be changed and sent again."""
        self.notify(problem, severity="error", timeout=12)
        if live.text or not live.asked:
            return
        prompt, chat = self.query_one(Prompt), live.turn.chat
        try:
            if self.chat == chat and not prompt.text:
                prompt.fill(live.asked)
            elif self.chat != chat and not self._store.draft(chat):
                self._store.save_draft(chat, live.asked)
        except StorageError as error:
            self.notify(str(error), severity="error")

    async def action_stop(self) -> None:
        if self._service.client.answering:
            await self._service.stop()
        elif self._replying is not None and self._live is not None:
            self._replying.cancel()  # still waiting for the model to load

    async def action_again(self) -> None:
        if self.chat is None or self._live is not None:
            return
        try:
            turn = self._service.ask_again(self.chat)
        except StorageError as error:
            self.notify(str(error), severity="error")
            return
        if turn is not None:
            self._live = Live(turn, self._waiting_view())
            await self._show()
            self._replying = self._reply(self._live)

    def action_copy(self) -> None:
        replies = [m.content for m in self._history() if m.role == "assistant" and m.content]
        if replies:
            self.app.copy_to_clipboard(replies[-1])
            self.notify("The last reply is in the clipboard.")

    # Chats

    async def _open(self, chat: int | None) -> None:
        """Put `chat` on screen, an empty one where it is None."""
        self._save_draft()
        self.chat = chat
        try:
            self.query_one(Prompt).fill(self._store.draft(chat))
        except StorageError as error:
            self.notify(str(error), severity="error")
        await self._show()
        self._refresh_list()

    async def _show(self) -> None:
        live, view = self._live, None
        if live is not None:
            if live.turn.chat == self.chat:
                # A widget that was taken off the screen cannot come back: a new one goes on where it was.
                view = ReplyView(live.text, "streaming", "" if live.text else "…")
            old, live.view = live.view, view
            if old is not None:
                await old.finish("streaming")
        await self.query_one(Transcript).show(self._history(), view, live.turn.reply if live else 0)

    def _history(self) -> list:
        try:
            return self._store.history(self.chat) if self.chat is not None else []
        except StorageError as error:
            self.notify(str(error), severity="error")
            return []

    def _refresh_list(self) -> None:
        try:
            chats = self._store.chats()
        except StorageError as error:
            self.notify(str(error), severity="error")
            return
        self.query_one(ChatList).show(chats, self.chat)
        titles = {chat.id: chat.title for chat in chats}
        self.query_one("#title", Static).update(titles.get(self.chat or 0, "New chat"))

    @on(ChatList.OptionSelected, "#chats")
    async def _chosen(self, event: ChatList.OptionSelected) -> None:
        if event.option_id:
            await self._open(int(event.option_id))
            self.query_one(Prompt).focus()

    async def action_new_chat(self) -> None:
        await self._open(None)
        self.query_one(Prompt).focus()

    @work
    async def action_rename(self) -> None:
        chat = self._store.chat(self.chat) if self.chat is not None else None
        if chat and (title := await self.app.push_screen_wait(LineScreen("A new name for this chat", chat.title))):
            self._store.rename(chat.id, title)
            self._refresh_list()

    @work
    async def action_delete(self) -> None:
        chat = self._store.chat(self.chat) if self.chat is not None else None
        if chat is None:
            return
        if self._live is not None and self._live.turn.chat == chat.id:
            self.notify("A reply is being made in this chat. Esc stops it.")
            return
        question = f"Delete “{chat.title}” for good? Its text is overwritten on disk."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Delete")):
            self._store.delete(chat.id)
            self.query_one(Prompt).fill("")
            self.chat = None
            await self._open(None)

    @work
    async def action_search(self) -> None:
        chat = await self.app.push_screen_wait(SearchScreen(self._store.search))
        if chat is not None:
            await self._open(chat)

    # Drafts

    @on(TextArea.Changed, "#prompt")
    def _typed(self, event: TextArea.Changed) -> None:
        self._draft = event.text_area.text
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(DRAFT_SECONDS, self._save_draft)

    def _save_draft(self) -> None:
        if self._draft_timer is None:
            return  # nothing was typed since
        self._draft_timer.stop()
        self._draft_timer = None
        prompts = self.query(Prompt)  # none any more when the app is closing
        try:
            self._store.save_draft(self.chat, prompts.first().text if prompts else self._draft)
        except StorageError as error:
            self.notify(str(error), severity="error")

    # Looks

    def action_help(self) -> None:
        bindings = [b for b in (*self.BINDINGS, *self.app.BINDINGS) if isinstance(b, Binding)]
        self.app.push_screen(HelpScreen(bindings))

    def action_sidebar(self) -> None:
        self._sidebar = self.has_class("-narrow")
        self.toggle_class("-narrow")

    def action_light(self) -> None:
        self.app.theme = "homespun-light" if self.app.current_theme.dark else "homespun-dark"
