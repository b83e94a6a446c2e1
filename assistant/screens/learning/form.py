"""The form of a run, made from the fields of its wish: what is usual on top, what is rarely touched folded away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Collapsible, Input, Label, Select, Static

from assistant.errors import AssistantError
from assistant.learning.naming import free_name
from assistant.learning.retraining import completed
from assistant.learning.reviewing import Reviewed
from assistant.learning.runs import Run, Runs
from assistant.models.shelf import Shelf
from assistant.screens.keyed import Keyed
from assistant.screens.keys import spelt
from assistant.screens.learning.keys import FORM_INTRO, FORM_KEYS
from assistant.screens.learning.review import ReviewScreen
from assistant.screens.learning.see import SeeScreen
from assistant.screens.learning.typed import TypeScreen
from assistant.text import printable
from assistant.verdicts.settings import SpamSettings
from assistant.widgets.in_order import LineInput
from assistant.widgets.key_line import KeyLine
from engine.catalog import ModelInfo
from engine.errors import EngineError
from training.errors import TrainingError
from training.recipe_wish import TITLES, Kind, Wish, fields_of, read_field, save_wish

TYPED = "typed.md"
EXAMPLES = {
    "answers": "Q: What is the name of my boat?\nA: Your boat is called Velmora.\n\nQ: Who am I?\nA: Ada.",
    "documents": "A text that it reads.",
}
CHOICES = {"lora": "additions to it (LoRA)", "full": "the whole model"}
NAMES = {"answers": "mine", "documents": "reader", "feedback": "liked", "labels": "sorter", "scratch": "newborn"}
GATHERED = {"feedback": "preferences.jsonl", "spam": "corrections.jsonl"}  # data that the app has itself


class PathSuggester(Suggester):
    """The rest of the name of a file or folder that is there."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        folder, _, begun = value.rpartition("/")
        if not value or (not begun and not folder):
            return None
        try:
            inside = sorted(os.listdir(os.path.expanduser(folder or ("/" if value.startswith("/") else "."))))
        except OSError:
            return None
        name = next((n for n in inside if n.startswith(begun) and (begun or not n.startswith("."))), None)
        return None if name is None else value[: len(value) - len(begun)] + printable(name)


class FormScreen(Keyed[Run | None]):
    """Ends with the run that was started, or None. `source`: what the app itself has to learn from, for some kinds."""

    BINDINGS: ClassVar[list[BindingType]] = [*FORM_KEYS]
    keys, intro = FORM_KEYS, FORM_INTRO

    def __init__(self, kind: Kind, shelf: Shelf, runs: Runs, source: Reviewed | None, in_use: ModelInfo) -> None:
        super().__init__()
        self._kind, self._shelf, self._runs, self._source, self._in_use = kind, shelf, runs, source, in_use
        self._draft: Path | None = None
        self._left_out: set[str] = set()  # of what the app has, what is not to be used

    def compose(self) -> ComposeResult:
        title, about = TITLES[self._kind]
        yield Static(f"{title}: {about}", id="title", markup=False)
        with VerticalScroll(id="form"):
            simple = [f for f in fields_of(self._kind) if not f.metadata["advanced"]]
            for field in simple:
                if not (self._source and field.name == "files"):
                    yield self._row(field)
            with Collapsible(title="More"):
                for field in fields_of(self._kind):
                    if field.metadata["advanced"]:
                        yield self._row(field)
        yield Static("", id="help", markup=False)
        yield Static("", id="problem", markup=False)
        with Horizontal(classes="buttons"):
            yield Button(f"Preview ({spelt(self, 'form-preview')})", id="preview", compact=True)
            yield Button(f"Start ({spelt(self, 'form-start')})", id="start", variant="primary", compact=True)
            if self._kind in EXAMPLES:
                yield Button(f"Type it in ({spelt(self, 'form-type')})", id="type", compact=True)
            if self._source:
                yield Button("Review", id="review", compact=True)
        yield KeyLine()

    def _row(self, field: Any) -> Widget:
        words = field.metadata
        note = Label(words["note"], classes="note", markup=False)
        return Horizontal(Label(words["label"], classes="key", markup=False), self._input(field), note, classes="field")

    def _input(self, field: Any) -> Widget:
        name, value = f"f-{field.name}", field.default
        if field.name == "base":
            known = [(printable(info.key), str(info.path)) for info in self._shelf.models() if _can_learn(info)]
            mine = str(self._in_use.path)
            chosen = mine if any(path == mine for _, path in known) else known[0][1] if known else Select.NULL
            return Select(known, value=chosen, allow_blank=not known, id=name, compact=True)
        if field.metadata["choices"]:
            options = [(CHOICES.get(choice, choice), choice) for choice in field.metadata["choices"]]
            return Select(options, value=value, allow_blank=False, id=name, compact=True)
        if isinstance(value, bool):
            return Checkbox("", value, id=name, compact=True)
        if field.name == "name":
            value = free_name(
                NAMES.get(self._kind, self._kind), {info.path.name for info in self._shelf.models()} | self._taken()
            )
        if field.name == "files":
            return LineInput(id=name, compact=True, placeholder="a file or a folder", suggester=PathSuggester())
        text = "" if not value else f"{value:g}" if isinstance(value, float) else str(value)
        return LineInput(text, id=name, compact=True, placeholder="by itself" if value == 0 else "")

    def _taken(self) -> set[str]:
        return {run.wish.name for run in self._runs.all()}

    def on_mount(self) -> None:
        if self._source:
            self._say(self._source.summary())
        self.query(Input).first().focus()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the field is for, whole, whatever the width."""
        name = str(event.widget.id or "").removeprefix("f-")
        field = next((f for f in fields_of(self._kind) if f.name == name), None)
        self.query_one("#help", Static).update(f"{field.metadata['label']}: {field.metadata['note']}" if field else "")

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < 100, "-slim")
        self.set_class(event.size.width < 60, "-tiny")  # the line of keys has what the buttons have

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._kind in EXAMPLES if action == "type" else True

    def _say(self, sentence: str) -> None:
        self.query_one("#problem", Static).update(sentence)

    # The wish

    def wish(self) -> Wish:
        """What the form says.

        Raises:
            TrainingError: a field that cannot be.
            AssistantError: there is no data.
        """
        values: dict[str, Any] = {}
        for field in fields_of(self._kind):
            widget = self.query(f"#f-{field.name}").first() if self.query(f"#f-{field.name}") else None
            if isinstance(widget, Input):
                text = widget.value
                values[field.name] = _files(text) if field.name == "files" else read_field(field.name, text)
            elif isinstance(widget, Select):
                values[field.name] = str(widget.value)
            elif isinstance(widget, Checkbox):
                values[field.name] = widget.value
        if "base" in values:
            values["base"] = self._shelf_name(values["base"])
        if self._source:
            values["files"] = (str(self._source.write(self._folder() / GATHERED[self._kind], self._left_out)),)
        wish = Wish(kind=self._kind, **values)
        return completed(wish, SpamSettings(self._shelf.paths)) if self._kind == "spam" else wish

    def _shelf_name(self, path: str) -> str:
        """The bundled model is found by its name wherever this is installed; others by their path."""
        bundled = {str(info.path): info.key for info in self._shelf.models() if info.bundled}
        return bundled.get(path, path)

    def _folder(self) -> Path:
        if self._draft is None:
            self._draft = self._runs.draft()
        return self._draft

    def _checked(self) -> Wish | None:
        """The wish, or None where the form says why there is none."""
        try:
            wish = self.wish()
            if not wish.files:
                self._say("Say which data it is to learn from: a file, a folder, or type it in.")
                self.query_one("#f-files").focus()
                return None
        except (TrainingError, AssistantError, EngineError, OSError) as error:
            self._say(str(error))
            return None
        self._say("")
        return wish

    # What one can do

    @on(Button.Pressed)
    async def _pressed(self, event: Button.Pressed) -> None:
        await self.run_action(str(event.button.id))

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    @work(exclusive=True)
    async def action_preview(self) -> None:
        wish = self._checked()
        if wish is None:
            return
        try:
            save_wish(wish, self._folder() / "wish.json")
        except OSError as error:
            self._say(f"The preview cannot be written: {error.strerror}.")
            return
        if await self.app.push_screen_wait(SeeScreen(wish, self._folder())):
            self._start(wish)

    def action_start(self) -> None:
        wish = self._checked()
        if wish is not None:
            self._start(wish)

    def _start(self, wish: Wish) -> None:
        try:
            run = self._runs.start(wish, self._draft)
        except AssistantError as error:
            self._say(str(error))
            return
        self.dismiss(run)

    @work
    async def action_type(self) -> None:
        path = self._folder() / TYPED
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        typed = await self.app.push_screen_wait(TypeScreen(text, EXAMPLES[self._kind]))
        if typed is None:
            return
        try:
            path.write_text(typed, encoding="utf-8")
        except OSError as error:
            self._say(f"What you typed cannot be written: {error.strerror}.")
            return
        self.query_one("#f-files", Input).value = str(path)

    @work
    async def action_review(self) -> None:
        if self._source:
            self._left_out = await self.app.push_screen_wait(ReviewScreen(self._source, self._left_out))
            self._say(self._source.summary(self._left_out))


def _files(text: str) -> tuple[str, ...]:
    """The paths in `text`; several stand apart by semicolons."""
    return tuple(os.path.abspath(os.path.expanduser(part.strip())) for part in text.split(";") if part.strip())


def _can_learn(info: ModelInfo) -> bool:
    return info.path.is_dir() and bool(info.has_template is not False or info.bundled)
