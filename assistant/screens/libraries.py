"""The libraries of documents, to choose for a chat, make, read anew and remove; what is being read stands below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from assistant.errors import AssistantError
from assistant.library.adding import add, new_name
from assistant.library.refreshing import Refresher
from assistant.paths import homely
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.screens.keys import spelt
from assistant.screens.list_dialog import ListDialog
from assistant.screens.list_keys import LIBRARY_KEYS
from assistant.screens.stock import StockScreen
from assistant.storage.libraries import Libraries, Library
from assistant.text import printable

WISH = "Add which folder or file? Text, Markdown, HTML, PDF and Word (.docx) are read."


class LibrariesScreen(StockScreen[Library, str | None]):
    """The name of the library this chat is to answer from, "" for none; None leaves it as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Close"), *LIBRARY_KEYS]
    keys = LIBRARY_KEYS
    narrowest = 16

    def __init__(self, store: Libraries, refresher: Refresher, in_use: str) -> None:
        super().__init__(in_use)
        self._store, self._refresher, self._in_use = store, refresher, in_use

    def nothing(self) -> str:
        add = spelt(self, "libraries-add")
        return f"There are no documents here yet. {add} adds a folder or a file; they stay where they are."

    def entries(self) -> Sequence[Library]:
        return self._store.libraries()

    def name_of_entry(self, entry: Library) -> str:
        return entry.name

    def lines_of(self, entry: Library) -> Text:
        line = Text(printable(entry.name), style="bold", no_wrap=True, overflow="ellipsis")
        line.append("  · in use here" if entry.name == self._in_use else "", style="not bold")
        problems = f", {entry.problems:,} cannot be used" if entry.problems else ""
        counts = f"{_count(entry.documents, 'document')}, {_count(entry.passages, 'passage')}{problems}"
        places = ", ".join(printable(homely(source)) for source in entry.sources)
        return line.append(f"\n{counts} · {places}", style="not bold dim")

    def coming(self) -> tuple[str, int]:
        lines = [f"{printable(name)}: {line}" for name, line in self._refresher.lines.items()]
        return " · ".join(lines), self._refresher.finished

    # What one can do

    def action_use(self) -> None:
        if library := self.chosen:
            self.dismiss(library.name)

    def action_without(self) -> None:
        self.dismiss("")

    @work
    async def action_add(self) -> None:
        wish = await self.app.push_screen_wait(LineScreen(WISH, "", max_length=4096))
        if not wish:
            return
        suggested = self.chosen
        name = new_name(Path(wish), {library.name for library in self._listed})
        question = "Into which library? A new name makes a new one."
        if suggested is not None:
            question += f" There {'is' if len(self._listed) == 1 else 'are'} " + ", ".join(
                printable(library.name) for library in self._listed
            )
        chosen = await self.app.push_screen_wait(LineScreen(question, name))
        if chosen is None:
            return
        try:
            add(self._store, chosen, wish)
        except AssistantError as error:
            self.notify(str(error), severity="error")
            return
        self._refresher.start(chosen)
        self.fill(chosen)

    def action_read(self) -> None:
        if library := self.chosen:
            self._refresher.start(library.name)

    def action_stop(self) -> None:
        for name in list(self._refresher.lines):
            self._refresher.stop(name)

    @work
    async def action_documents(self) -> None:
        if library := self.chosen:
            await self.app.push_screen_wait(DocumentsScreen(self._store, library.name))
            self.fill()

    @work
    async def action_remove(self) -> None:
        if (library := self.chosen) is None:
            return
        question = f"Remove the library “{printable(library.name)}”? What was read of its documents is overwritten on "
        question += "disk, also under replies. The documents themselves stay."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Remove")):
            self._refresher.stop(library.name)
            try:
                self._store.remove_library(library.name)
            except AssistantError as error:
                self.notify(str(error), severity="error")
            self.fill()


class DocumentsScreen(ListDialog[None]):
    """What is in one library: its folders and files, and what was read of them; those with a problem come first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("delete,backspace", "remove", "Take out"),
    ]

    def __init__(self, store: Libraries, library: str) -> None:
        super().__init__()
        self._store, self._library = store, library

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Label(printable(self._library), markup=False)
            yield OptionList()
            yield Label("Del takes out what was added · Esc closes this.", classes="note", markup=False)

    def on_mount(self) -> None:
        self._list()
        self.query_one(OptionList).focus()

    def _list(self) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        self._sources = self._store.sources(self._library)
        options.add_options(Option(Text(f"added: {printable(homely(path))}", style="bold")) for path in self._sources)
        for document in self._store.documents(self._library):
            said = document.problem or _count(document.passages, "passage")
            line = Text(printable(homely(document.path)), no_wrap=True, overflow="ellipsis")
            options.add_option(Option(line.append(f"\n{printable(said)}", style="dim")))
        options.highlighted = 0 if options.option_count else None
        self.fit()

    @work
    async def action_remove(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is None or place >= len(self._sources):
            self.notify("What was added stands first; of a folder's files none can be taken out alone.")
            return
        path = self._sources[place]
        question = f"Take {printable(homely(path))} out of “{printable(self._library)}”? The files themselves stay."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Take out")):
            try:
                self._store.remove_source(self._library, path)
            except AssistantError as error:
                self.notify(str(error), severity="error")
            self._list()


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
