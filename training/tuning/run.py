"""A fine-tuning run from its wish to its model: laid out, measured, trained, kept, measured again. One process a run.

`run/wish.json` says what is wanted; `run/keep` that a stop is to keep what there is. `state.json` says what it does,
`events.jsonl` what it has done; the loop's own events are in the stage's folder. Every step is skipped when it is done,
so that a run which was cut off anywhere goes on.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from engine.catalog import find
from training.events import EventLog
from training.loop.distributed import world
from training.recipe import Recipe, load_recipe
from training.recipe_wish import Wish, load_wish, save_wish
from training.stages.job import Job
from training.tuning import deliver, measure
from training.tuning.estimate import fit_minutes
from training.tuning.laying import lay_out
from training.tuning.layout import Laid
from training.tuning.queue import turn, write_state
from training.tuning.results import write_result
from training.tuning.tokens import cut_into_tokens, prepare_documents


class Stopped(BaseException):
    """SIGTERM or Ctrl-C came outside the training loop, which has its own way to stop."""


class Tuning:
    """One sitting of a run."""

    def __init__(self, run: Path) -> None:
        self.run, self.wish = run, load_wish(run / "wish.json")
        self.log = EventLog(run / "events.jsonl")
        self.stopped = False

    def go(self) -> str:
        """Do what is left; returns the state that the run is in then: done, paused or waiting.

        Raises:
            TrainingError, EngineError, OSError: in one sentence; what there is stays.
        """
        with self._signals():
            try:
                with turn(self.run, lambda: self.stopped) as ours:
                    return self._work() if ours else self._pause("stopped before its turn came")
            except Stopped:
                return self._pause("stopped")

    def _work(self) -> str:
        return self._corrected() if self.wish.kind == "spam" else self._taught()

    def _corrected(self) -> str:
        """The spam scorer, which has no training loop."""
        from training.tuning.corrections import correct

        torch.set_num_threads(self.threads())
        self._say("preparing", text="learning from the corrections, comparing old and new")
        self._done(correct(self.run, self.wish)["model"])
        return "done"

    def _done(self, model: str) -> None:
        write_state(self.run, "done")
        self.log.write("done", model=model)

    def _taught(self) -> str:
        torch.set_num_threads(self.threads())
        plan = self._laid_out()
        stages = self._stages()
        recipe = self._recipe()
        self._tokens(recipe)
        if self.wish.minutes and not plan.get("fitted"):
            recipe = self._fit(plan, recipe)
        before = (
            None
            if self.wish.kind in ("labels", "scratch")
            else self._measured("before", find(self.wish.base).path, plan)
        )
        for stage in stages:
            if self._kept(stage):
                stages = stages[: stages.index(stage) + 1]
                break
            if not self._train(stage, recipe):
                if not (self.run / "keep").exists():
                    return self._pause("stopped")
                stages = stages[: stages.index(stage) + 1]
                break
        self._say("keeping", text="writing the model")
        folder = deliver.deliver(self.wish, self._job(recipe), stages[-1], not (self.run / "keep").exists())
        after = None if self.wish.kind == "labels" else self._measured("after", folder, plan)
        write_result(self.run, self.wish, folder, before, after, stages[-1])
        self._done(str(folder))
        return "done"

    def _kept(self, stage: str) -> bool:
        """Whether what `stage` has learned so far is to be kept instead of going on."""
        return (self.run / "keep").exists() and (self.run / stage / "checkpoint.pt").exists()

    def threads(self) -> int:
        """The same in every sitting, for sums depend on how they are shared out: as bits, not as numbers."""
        path = self.run / "threads"
        if not path.exists():
            path.write_text(f"{self.wish.threads or os.cpu_count() or 1}\n", encoding="utf-8")
        return int(path.read_text(encoding="utf-8"))

    def _laid_out(self) -> dict[str, Any]:
        path = self.run / "laid.json"
        if not path.exists():
            self._say("preparing", text="reading the data")
            plan = plan_of(self.wish, lay_out(self.wish, self.run))
            _write_json(path, plan)
        plan = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(plan, dict)
        return plan

    def _stages(self) -> list[str]:
        return ["pretrain", "sft"] if self.wish.kind == "scratch" and self.wish.chats else [self.wish.stage]

    def _recipe(self) -> Recipe:
        recipe = load_recipe(self.run / "recipe.toml")
        (self.run / "recipe.json").write_text(json.dumps(recipe.to_dict(), indent=1) + "\n", encoding="utf-8")
        return recipe

    def _tokens(self, recipe: Recipe) -> None:
        """The documents' tokens, for the stages that read documents."""
        if not recipe.data.sources:
            return
        self._say("preparing", text="cutting the data into tokens")
        if self.wish.kind in ("documents", "scratch"):
            prepare_documents(self.wish, recipe, self.run)
        cut_into_tokens(self.wish, recipe, self.run)

    def _fit(self, plan: dict[str, Any], recipe: Recipe) -> Recipe:
        """As many epochs as fit into the minutes, found out once."""
        self._say("preparing", text="timing a few steps")
        wish = fit_minutes(self.wish, recipe, self.run)
        self.wish = replace(wish, minutes=self.wish.minutes)
        save_wish(self.wish, self.run / "wish.json")
        lay_out(self.wish, self.run)
        _write_json(self.run / "laid.json", {**plan, "fitted": True})
        return self._recipe()

    def _job(self, recipe: Recipe) -> Job:
        return Job(recipe, self.run, self.run / "data", world().device("cpu"))

    def _train(self, stage: str, recipe: Recipe) -> bool:
        from importlib import import_module

        module, name = {"sft": "language.sft", "pretrain": "language.pretrain"}.get(stage, f"{stage}.{stage}").split(
            "."
        )
        self._say("training", stage=stage, text="training")
        done: bool = getattr(import_module(f"training.stages.{module}"), name)(self._job(recipe))
        return done

    def _measured(self, when: str, model: Path, plan: dict[str, Any]) -> dict[str, Any]:
        """The numbers of `model`, measured once."""
        path = self.run / f"{when}.json"
        if not path.exists():
            start = time.monotonic()
            found = measure.measure(model, self.run, plan, lambda text: self._say(f"measuring {when}", text=text))
            _write_json(path, {**found, "seconds": round(time.monotonic() - start, 1)})
        data = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(data, dict)
        return data

    def _say(self, state: str, **more: Any) -> None:
        write_state(self.run, state, **more)
        self.log.write("phase", state=state, **more)

    def _pause(self, why: str) -> str:
        write_state(self.run, "paused", text=why)
        self.log.write("paused", text=why)
        return "paused"

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end what is under way; within the loop they are the loop's, which saves first."""

        def stop(_number: int, _frame: object) -> None:
            self.stopped = True
            raise Stopped

        old = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def plan_of(wish: Wish, laid: Laid) -> dict[str, Any]:
    """What later steps have to know of what was laid out."""
    return {
        "wish": asdict(wish),
        "amounts": asdict(laid.amounts),
        "counts": laid.counts(),
        "notes": laid.notes,
        "sources": [source["name"] for source in laid.sources],
        "prompts": laid.prompts[:64],
        "pairs": laid.pairs,
        "held_out_pairs": [[c["messages"][-2]["content"], c["messages"][-1]["content"]] for c in laid.held_out],
        "length_prompts": laid.length_prompts,
    }


def _write_json(path: Path, data: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
