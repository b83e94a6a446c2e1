"""OnLabels: the part of the spam screen that asks for other labels: choosing what is asked, making it, training it."""

from __future__ import annotations

from textual import work

from assistant.errors import AssistantError, UsageError
from assistant.prompting.typed_path import typed_path
from assistant.screens.dialogs import ChoiceScreen, ConfirmScreen, LineScreen
from assistant.screens.path import PathScreen
from assistant.screens.spam.base import SpamBase
from assistant.storage.verdicts import SPAM_TASK
from assistant.verdicts.examples import Example, labels_of, read_examples, read_labels
from assistant.verdicts.label_sets import LabelSet, name_of

TYPED, FROM_FILE = "New: labels that I type", "New: from a table of examples (.csv, .jsonl)"
TRAIN, STOP, REMOVE = "Fine-tune it on its examples", "Stop its fine-tuning", "Remove it"
ASK = "Ask for it"


class OnLabels(SpamBase):
    """What is asked stays until another thing is chosen."""

    @work
    async def action_labels(self) -> None:
        try:
            sets = [self._service.sets.read(name) for name in self._service.sets.names()]
        except AssistantError as error:
            self.notify(str(error), severity="error")
            return
        lines = {f"{each.name}: {', '.join(each.labels)[:40]} ({each.method})": each for each in sets}
        choices = ["Is it spam?", *lines, TYPED, FROM_FILE]
        chosen = await self.app.push_screen_wait(ChoiceScreen("What is to be asked of a text?", choices))
        try:
            if chosen == choices[0]:
                self._ask_for(SPAM_TASK)
            elif chosen in (TYPED, FROM_FILE):
                await self._make(chosen)
            elif chosen is not None:
                await self._use(lines[chosen])
        except AssistantError as error:
            self.notify(str(error), severity="warning", timeout=12)

    def _ask_for(self, task: str) -> None:
        self.asked = task
        self.show(None)
        self.refresh_list()
        self.say("")
        self.query_one("#pasted").focus()

    async def _make(self, how: str) -> None:
        """A new set, from labels that are typed or from a table."""
        labels: list[str] = []
        examples: list[Example] = []
        if how == TYPED:
            text = await self.app.push_screen_wait(LineScreen("The labels, with commas between them:", ""))
            if text is None:
                return
            labels, name = read_labels(text), ""
        else:
            question = "A .csv or .jsonl file with the columns text and label:"
            path = await self.app.push_screen_wait(PathScreen(question, (".csv", ".tsv", ".jsonl", ".json")))
            if path is None:
                return
            file = typed_path(path)
            examples, name = read_examples(file), name_of(file.stem)
            labels = labels_of(examples)
        said = f"{len(labels)} labels, {len(examples)} examples. A name for them:"
        made: LabelSet | None = None
        while made is None:
            if (given := await self.app.push_screen_wait(LineScreen(said, name, 40))) is None:
                return
            try:
                made = self._service.sets.create(given, labels, examples)
            except UsageError as error:  # the name; what was typed before it is not lost
                self.notify(str(error), severity="warning", timeout=12)
                name = given
        self._ask_for(made.name)
        if made.can_learn:
            await self._offer(made)

    async def _use(self, chosen: LabelSet) -> None:
        own = chosen.folder.parent == self._service.sets.folder
        training = self._service.tuning.is_training(chosen.name)
        choices = [ASK, *([STOP] if training else [TRAIN] if chosen.can_learn else []), *([REMOVE] if own else [])]
        todo: str | None = ASK
        if len(choices) > 1:
            question = f"{chosen.name}: {', '.join(chosen.labels)[:200]} ({chosen.method})"
            todo = await self.app.push_screen_wait(ChoiceScreen(question, choices))
        if todo == STOP or (todo == REMOVE and training):
            await self._service.tuning.close()
            self.say()
        if todo == REMOVE:
            question = f"Remove {chosen.name} with its {len(chosen.examples)} examples? Its verdicts stay."
            if await self.app.push_screen_wait(ConfirmScreen(question, "Remove")):
                self._service.sets.remove(chosen)
                if self.asked == chosen.name:
                    self._ask_for(SPAM_TASK)
        elif todo and todo != STOP:
            self._ask_for(chosen.name)
            if todo == TRAIN:
                self._train(chosen)

    async def _offer(self, made: LabelSet) -> None:
        question = f"Fine-tune a classifier on the {len(made.examples)} examples now? It goes on behind the screens."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Fine-tune", "Not now")):
            self._train(made)

    def _train(self, chosen: LabelSet) -> None:
        loaded = self._service.client.loaded
        self._service.tuning.start(chosen, self._service.client.model, loaded.context_length if loaded else None)
        self.say()
