"""OnLearning: the part of the chat screen that opens the training menu, follows runs, and marks replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work

from assistant.errors import StorageError
from assistant.screens.chat.base import ChatBase
from assistant.screens.keys import spelt
from assistant.storage.feedback import BAD, GOOD

if TYPE_CHECKING:
    from assistant.learning.reviewing import Reviewed
    from training.recipe_wish import Kind

FOLLOW_SECONDS = 2.0  # between two looks at the runs


class OnLearning(ChatBase):
    """Nothing that is marked here is used unasked."""

    async def on_mount(self) -> None:
        self._states = {run.key: run.state for run in self.runs.all()}
        if cut := [key for key, state in self._states.items() if state == "cut off"]:
            many = "A training run was" if len(cut) == 1 else f"{len(cut)} training runs were"
            keys = spelt(self, "train"), spelt(self, "teach-pause")
            self.notify(f"{many} cut off. {keys[0]} shows it; {keys[1]} goes on from the last checkpoint.", timeout=10)
        self.set_interval(FOLLOW_SECONDS, self._follow)

    def _follow(self) -> None:
        """Say when a run has ended; one that was begun elsewhere, too."""
        for key in self.runs.keys() - self._states.keys():
            self._states[key] = "starting"
        for key in [key for key, state in self._states.items() if state not in ("done", "failed", "paused", "cut off")]:
            run = self.runs.find(key)
            if run is None:
                del self._states[key]
            elif run.state != self._states[key]:
                self._states[key] = run.state
                if run.state == "done":
                    key = spelt(self, "train")
                    if run.wish.kind == "spam":
                        key += f", or {spelt(self, 'spam-retrain')} in the spam check,"
                    self.app.notify(f"{run.wish.name} is done. {key} compares it with the old one.", timeout=12)
                elif run.state == "failed":
                    self.app.notify(f"{run.wish.name}: {run.text}", severity="error", timeout=12)

    @work(group="learning", exclusive=True)
    async def action_train(self) -> None:
        from assistant.learning.corrections import Corrections  # none of these is needed to chat
        from assistant.learning.feedback import Feedback
        from assistant.screens.learning.menu import MenuScreen

        sources: dict[Kind, Reviewed] = {
            "feedback": Feedback(self._service.store),
            "spam": Corrections(self._service.store),
        }
        chosen = await self.app.push_screen_wait(
            MenuScreen(self._shelf, self.runs, sources, self._service.model, self._busy)
        )
        self._states = {run.key: run.state for run in self.runs.all()}
        if chosen is not None and chosen.path != self._service.model.path:
            await self.use(chosen)

    @work(group="learning")
    async def action_mark(self, mark: int) -> None:
        """Mark the reply that is selected, or take the same mark away; a bad one may be given a better answer."""
        from assistant.screens.dialogs import TextScreen

        message = self.transcript.message
        if message is None or message.role != "assistant" or not message.content:
            return
        try:
            before, better = self.store.mark_of(message.id)
            if before == mark:
                self.store.mark(message.id, 0, "")
            elif mark == GOOD:
                self.store.mark(message.id, GOOD)
            else:
                self.store.mark(message.id, BAD)
                await self.show(end=False)
                question = "What would have been better? (Esc: say nothing)"
                told = await self.app.push_screen_wait(TextScreen(question, better or message.content))
                if told and told.strip() and told != message.content:
                    self.store.mark(message.id, BAD, told)
        except StorageError as error:
            self.complain(error)
        await self.show(end=False)
