"""ChatSettings: what a chat wants of the model: its instruction and its sampling. Read, changed, told; no screen.

What holds is, from the bottom: the model's own settings, the person's defaults for the model, the chat's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from assistant.chat_service import ChatService
from assistant.settings import personas
from assistant.settings.config import Config
from assistant.settings.sampling import SETTINGS, Wishes, read_setting


@dataclass(frozen=True)
class Value:
    """A setting as it holds, and whose it is: "model", "default" (the person's for the model) or "chat"."""

    name: str
    value: Any
    whose: str

    @property
    def text(self) -> str:
        if self.value is None:
            return "new each time"
        return f"{self.value:g}" if isinstance(self.value, float) else f"{self.value:,}"

    @property
    def told(self) -> str:
        return self.text + {"chat": "  · this chat's", "default": "  · your default"}.get(self.whose, "")


class ChatSettings:
    """Of the chats of `service`; `new` is what the chat that is not begun yet wants."""

    def __init__(self, service: ChatService, config: Config) -> None:
        self._service, self._config = service, config
        self.new = Wishes()

    def renew(self) -> None:
        """The next chat begins with the persona of the settings, and with nothing else."""
        name = str(self._config.get("persona"))
        self.new = Wishes(personas.library(self._service.store).get(name, ""))

    def wanted(self, chat: int | None) -> Wishes:
        stored = self._service.store_of(chat).chat(chat) if chat is not None else None
        return Wishes.of(stored.system, stored.params) if stored else self.new

    def want(self, chat: int | None, wishes: Wishes) -> None:
        if chat is None:
            self.new = wishes
        else:
            self._service.store_of(chat).instruct(chat, wishes.system, wishes.params_json())

    def set(self, chat: int | None, name: str, text: str) -> None:
        """Set `name` as a person wrote it; empty gives the default back.

        Raises:
            UsageError: no such value is possible.
        """
        value, wishes = read_setting(name, text), self.wanted(chat)
        params = {k: v for k, v in wishes.params.items() if k != name}
        self.want(chat, replace(wishes, params=params if value is None else {**params, name: value}))

    def instruct(self, chat: int | None, system: str) -> None:
        self.want(chat, replace(self.wanted(chat), system=system))

    def persona(self, chat: int | None) -> str:
        """The name of the persona whose instruction the chat has; "" where it has another one or none."""
        return personas.name_of(self._service.store, self.wanted(chat).system)

    def take_persona(self, chat: int | None, name: str) -> str:
        """Have the model told what persona `name` says. Returns its full name.

        Raises:
            UsageError: there is no such persona.
        """
        name, system = personas.named(self._service.store, name)
        self.instruct(chat, system)
        return name

    def values(self, chat: int | None) -> list[Value]:
        """Every sampling setting as it holds for the chat's next reply."""
        holds, own = self._service.params_of(chat, self.new), self.wanted(chat).params
        defaults = self._service.defaults()
        return [
            Value(name, getattr(holds, name), "chat" if name in own else "default" if name in defaults else "model")
            for name in SETTINGS
        ]

    def told(self, chat: int | None) -> str:
        """The sampling settings as lines."""
        return "\n".join(f"{SETTINGS[v.name][0]}: {v.told}" for v in self.values(chat))

    def make_default(self, chat: int | None) -> str:
        """What holds in the chat is from now on the default for its model. Returns a sentence."""
        model = self._service.model.name
        self._service.set_defaults({**self._service.defaults(), **self.wanted(chat).params})
        return f"Chats with {model} have these settings from now on, where they have no own ones."

    def forget_default(self) -> str:
        self._service.set_defaults({})
        return f"{self._service.model.name} has its own settings again."
