"""The libraries of documents, to choose for a chat, make, read anew and remove; what is being read stands below."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ItemGrid, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label, OptionList
from textual.widgets.option_list import Option

from assistant.errors import AssistantError
from assistant.library.adding import add, new_name
from assistant.library.refreshing import Refresher
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.storage.libraries import Libraries, Library
from assistant.text import printable

LOOK_SECONDS = 0.25  # between two looks at what is being read
WISH = "Add which folder or file? Text, Markdown, HTML, PDF and Word (.docx) are read."
NONE = "There are no documents here yet. a adds a folder or a file; they stay where they are."


class LibrariesScreen(ModalScreen[str | None]):
    """The name of the library this chat is to answer from, "" for none; None leaves it as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("a", "add", "Add"),
        Binding("n", "without", "None"),
        Binding("r", "read", "Read anew"),
        Binding("d", "documents", "Documents"),
        Binding("delete,backspace", "remove", "Remove"),
        Binding("s", "stop", "Stop"),
    ]

    def __init__(self, store: Libraries, refresher: Refresher, in_use: str) -> None:
        super().__init__()
        self._store, self._refresher, self._in_use = store, refresher, in_use
        self._libraries: list[Library] = []
        self._finished = refresher.finished

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide models"):
            yield Label(NONE, markup=False, id="none")
            yield OptionList()
            with Horizontal(id="coming"):
                yield Label("", markup=False, id="progress")
                yield Button("Stop (s)", compact=True, id="stop")
            with ItemGrid(classes="buttons", min_column_width=14):
                yield Button("Use (↵)", variant="primary", compact=True, id="use")
                yield Button("Use none (n)", compact=True, id="without")
                yield Button("Add (a)", compact=True, id="add")
                yield Button("Read anew (r)", compact=True, id="read")
                yield Button("Documents (d)", compact=True, id="documents")
                yield Button("Remove (Del)", compact=True, id="remove")

    def on_mount(self) -> None:
        self._list(self._in_use)
        self.query_one(OptionList).focus()
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    def _list(self, wanted: str = "") -> None:
        """Show what there is; the cursor stays where it was, or goes to `wanted`."""
        options, here = self.query_one(OptionList), self._chosen()
        try:
            self._libraries = self._store.libraries()
        except AssistantError as error:
            self.notify(str(error), severity="error")
        options.clear_options()
        options.add_options(Option(self._line(library)) for library in self._libraries)
        names = [library.name for library in self._libraries]
        wanted = wanted or (here.name if here else "")
        options.highlighted = names.index(wanted) if wanted in names else 0 if names else None
        options.display, self.query_one("#none").display = bool(names), not names
        if names:
            options.focus()

    def _line(self, library: Library) -> Text:
        line = Text(printable(library.name), style="bold", no_wrap=True, overflow="ellipsis")
        line.append("  · in use here" if library.name == self._in_use else "", style="not bold")
        problems = f", {library.problems:,} that cannot be used" if library.problems else ""
        counts = f"{library.documents:,} documents, {library.passages:,} passages{problems}"
        places = ", ".join(printable(source) for source in library.sources)
        return line.append(f"\n{counts} · {places}", style="not bold dim")

    def _look(self) -> None:
        """At what is being read."""
        lines = [f"{printable(name)}: {line}" for name, line in self._refresher.lines.items()]
        self.query_one("#coming").display = bool(lines)
        self.query_one("#progress", Label).update(" · ".join(lines))
        if self._finished != self._refresher.finished:
            self._finished = self._refresher.finished
            self._list()

    def _chosen(self) -> Library | None:
        place = self.query_one(OptionList).highlighted
        return self._libraries[place] if place is not None and place < len(self._libraries) else None

    # What one can do

    @on(Button.Pressed)
    async def _pressed(self, event: Button.Pressed) -> None:
        await self.run_action(str(event.button.id))
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def action_use(self) -> None:
        if library := self._chosen():
            self.dismiss(library.name)

    def action_without(self) -> None:
        self.dismiss("")

    @work
    async def action_add(self) -> None:
        wish = await self.app.push_screen_wait(LineScreen(WISH, "", max_length=4096))
        if not wish:
            return
        suggested = self._chosen()
        name = new_name(Path(wish), {library.name for library in self._libraries})
        question = "Into which library? A new name makes a new one."
        if suggested is not None:
            question += f" There {'is' if len(self._libraries) == 1 else 'are'} " + ", ".join(
                printable(library.name) for library in self._libraries
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
        self._list(chosen)

    def action_read(self) -> None:
        if library := self._chosen():
            self._refresher.start(library.name)

    def action_stop(self) -> None:
        for name in list(self._refresher.lines):
            self._refresher.stop(name)

    @work
    async def action_documents(self) -> None:
        if library := self._chosen():
            await self.app.push_screen_wait(DocumentsScreen(self._store, library.name))
            self._list()

    @work
    async def action_remove(self) -> None:
        if (library := self._chosen()) is None:
            return
        question = f"Remove the library “{printable(library.name)}”? What was read of its documents is overwritten on "
        question += "disk, also under replies. The documents themselves stay."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Remove")):
            self._refresher.stop(library.name)
            try:
                self._store.remove_library(library.name)
            except AssistantError as error:
                self.notify(str(error), severity="error")
            self._list()


class DocumentsScreen(ModalScreen[None]):
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
        options.add_options(Option(Text(f"added: {printable(path)}", style="bold")) for path in self._sources)
        for document in self._store.documents(self._library):
            said = document.problem or f"{document.passages:,} passages"
            line = Text(printable(document.path), no_wrap=True, overflow="ellipsis")
            options.add_option(Option(line.append(f"\n{printable(said)}", style="dim")))
        options.highlighted = 0 if options.option_count else None

    @work
    async def action_remove(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is None or place >= len(self._sources):
            self.notify("What was added stands first; of a folder's files none can be taken out alone.")
            return
        path = self._sources[place]
        question = f"Take {printable(path)} out of “{printable(self._library)}”? The files themselves stay."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Take out")):
            try:
                self._store.remove_source(self._library, path)
            except AssistantError as error:
                self.notify(str(error), severity="error")
            self._list()
