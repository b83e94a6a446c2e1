"""`homespun --plain`: the chat line by line, without a window, colours or control sequences; the same chats.

For screen readers, slow lines and pipes. What the commands that the window has too do is chat_settings.py.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path

from assistant.chat_service import ChatService, Turn
from assistant.engine_client import EngineClient
from assistant.errors import AssistantError, UsageError
from assistant.exchange import by_command
from assistant.models.shelf import Shelf
from assistant.paths import find_paths
from assistant.prompting.attaching import with_files
from assistant.prompting.commands import SETTING_OF
from assistant.settings import personas
from assistant.settings.chat_settings import ChatSettings
from assistant.settings.config import Config
from assistant.settings.sampling import SETTINGS
from assistant.storage.opening import open_store
from assistant.text import printable
from engine.errors import EngineError
from engine.protocol import Delta, Done, Started

LISTED = 20  # chats
# Where a growing reply is told: after a line or a sentence, so that a screen reader never reads half a word.
_TELLABLE = re.compile(r"(?s).*(?:\n|[.!?:;]\s)")
HELP = """\
Type a message and Enter. A line that ends in \\ goes on in the next one. @FILE sends a text file along.
Ctrl+C stops a reply. Ctrl+D, or /quit, leaves. Commands:
  /new              begin a new chat
  /temporary        begin a chat that is never written
  /chats            list the last chats
  /open NUMBER      go on with a chat of that list
  /read             read this chat from its beginning
  /again            make the last reply anew
  /continue         go on with a reply that was stopped
  /persona NAME     have the model told what a persona says; without NAME, list them
  /system TEXT      what the model is told before the chat; - for nothing
  /chat             this chat's settings
  /default          make this chat's settings the model's default
  /model NAME       answer with another model; without NAME, list them
  /export FILE      write this chat to FILE.md, .html or .json, or everything to FILE.zip
  /import FILE      bring in chats: an archive, ChatGPT's export, llm's logs.db"""


class PlainChat:
    """One chat at a time; `read` gives a line or raises EOFError, `say` writes one, `write` a piece of one."""

    def __init__(
        self,
        service: ChatService,
        config: Config,
        shelf: Shelf,
        read: Callable[[str], str],
        write: Callable[[str], None],
    ) -> None:
        self._service, self._shelf, self._config = service, shelf, config
        self._settings = ChatSettings(service, config)
        self._read, self._write = read, write
        self._listed: list[int] = []
        self.chat: int | None = None
        self._temporary = False
        self.replying = False

    def say(self, text: str) -> None:
        self._write(printable(text) + "\n")

    async def run(self) -> None:
        """Until the person leaves."""
        self._settings.renew()
        while True:
            try:
                text = await self._message()
                if text.strip() == "/quit":
                    return
                await self._take(text)
            except EOFError:
                self.say("")
                return
            except (AssistantError, EngineError) as error:
                self.say(f"({error})")

    async def _message(self) -> str:
        lines, ask = [], "You: "
        while True:
            line = await asyncio.to_thread(self._read, ask)
            lines.append(line.removesuffix("\\"))
            if not line.endswith("\\"):
                return printable("\n".join(lines))
            ask = "     "

    async def _take(self, text: str) -> None:
        name, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if name in self._commands():
            self._commands()[name](rest)
        elif name.startswith("/") and name[1:] in SETTING_OF:
            self._settings.set(self.chat, SETTING_OF[name[1:]], rest)
            self.say(self._settings.told(self.chat))
        elif name == "/model":
            await self._model(rest)
        elif name in ("/again", "/continue"):
            await self._reply(self._again() if name == "/again" else self._continue())
        elif re.fullmatch(r"/[a-z-]+", name):
            raise UsageError(f"There is no command {name} here; /help tells which there are.")
        elif text.strip():
            turn = self._service.ask(self.chat, with_files(text), temporary=self._temporary, wishes=self._settings.new)
            if self.chat is None:
                self._settings.renew()
            self.chat = turn.chat
            await self._reply(turn)

    def _commands(self) -> dict[str, Callable[[str], None]]:
        return {
            "/help": lambda _: self.say(HELP),
            "/new": lambda _: self._new(temporary=False),
            "/temporary": lambda _: self._new(temporary=True),
            "/chats": lambda _: self._chats(),
            "/open": self._open,
            "/read": lambda _: self._reread(),
            "/persona": self._persona,
            "/system": self._system,
            "/chat": lambda _: self._tell_settings(),
            "/export": lambda name: self.say(f"({by_command.export(self._service, self._config, self.chat, name)})"),
            "/import": lambda name: self.say(f"({by_command.import_(self._service, self._config, name)})"),
            "/default": lambda _: self.say(self._settings.make_default(self.chat)),
        }

    # A reply

    async def _reply(self, turn: Turn) -> None:
        """Told sentence by sentence; Ctrl+C stops it."""
        if self._service.client.loaded is None:
            self.say("(The model is loading.)")
        self._write("homespun: ")
        waiting, self.replying, ended = "", True, ""
        try:
            async with aclosing(self._service.reply(turn)) as events:
                async for event in events:
                    if isinstance(event, Started) and event.dropped_messages:
                        self._write(f"(The {event.dropped_messages} oldest messages no longer fit.) ")
                    elif isinstance(event, Delta):
                        waiting += event.text
                        if whole := _TELLABLE.match(waiting):
                            self._write(whole[0])
                            waiting = waiting[len(whole[0]) :]
                    elif isinstance(event, Done) and event.reason != "stop":
                        why = "stopped" if event.reason == "cancelled" else "cut at the longest allowed length"
                        ended = f" ({why}; /continue goes on)"
        finally:
            self.replying = False
            self.say(waiting + ended)
        self._service.entitle(turn.chat)

    def _again(self) -> Turn:
        turn = self._service.ask_again(self.chat) if self.chat is not None else None
        if turn is None:
            raise UsageError("There is no reply to make anew yet.")
        return turn

    def _continue(self) -> Turn:
        last = self._service.store_of(self.chat).history(self.chat)[-1:] if self.chat is not None else []
        if not last or last[0].role != "assistant" or not last[0].content:
            raise UsageError("There is no reply to go on with.")
        return self._service.resume(last[0])

    # Chats

    def _new(self, *, temporary: bool) -> None:
        self.chat, self._temporary = None, temporary
        self._settings.renew()
        self.say("(A new chat; it is never written.)" if temporary else "(A new chat.)")

    def _chats(self) -> None:
        chats = self._service.store.chats()[:LISTED]
        self._listed = [chat.id for chat in chats]
        self.say("\n".join(f"  {i} {chat.title}" for i, chat in enumerate(chats, 1)) or "(There are no chats yet.)")

    def _open(self, number: str) -> None:
        if not self._listed:
            self._listed = [chat.id for chat in self._service.store.chats()[:LISTED]]
        if not number.isdecimal() or not 0 < int(number) <= len(self._listed):
            raise UsageError("Say which: /open NUMBER, as /chats lists them.")
        chat = self._service.store.chat(self._listed[int(number) - 1])
        if chat is None:
            raise UsageError("This chat has been deleted.")
        self.chat, self._temporary = chat.id, False
        self.say(f"({chat.title}. /read reads it.)")

    def _reread(self) -> None:
        messages = self._service.store_of(self.chat).history(self.chat) if self.chat is not None else []
        for message in messages:
            self.say(f"{'You' if message.role == 'user' else 'homespun'}: {message.content}")
        if not messages:
            self.say("(There is nothing in this chat yet.)")

    # What the model is told, and which model

    def _persona(self, name: str) -> None:
        if name:
            self.say(f"(This chat has the persona {self._settings.take_persona(self.chat, name)}.)")
        else:
            known = personas.library(self._service.store)
            self.say("\n".join(f"  {name}: {system}" for name, system in known.items()))

    def _system(self, text: str) -> None:
        if text:
            self._settings.instruct(self.chat, "" if text == "-" else text)
        system = self._settings.wanted(self.chat).system
        self.say(f"(The model is told: {system})" if system else "(The model is told nothing before the chat.)")

    def _tell_settings(self) -> None:
        self.say(f"Model: {self._service.model.name}")
        self._system("")
        self.say(self._settings.told(self.chat))
        self.say("Each has a command: " + ", ".join(f"/{c} for {SETTINGS[s][0]}" for c, s in SETTING_OF.items()) + ".")

    async def _model(self, name: str) -> None:
        if not name:
            self.say("\n".join(f"  {info.key}" for info in self._shelf.models()))
            return
        await self._service.switch(self._shelf.find(name))
        self.say(f"({self._service.model.name} answers from now on.)")


def _read_line(ask: str) -> str:
    if sys.stdin.isatty():
        with suppress(ImportError):
            import readline  # noqa: F401 - so that `input` lets one edit the line
        return input(ask)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def _write_out(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def _chat(model: str | None, device: str, data_dir: Path | None, precision: str, compile: bool) -> None:
    paths = find_paths(data_dir)
    shelf = Shelf(paths)
    info, note = (shelf.find(model), "") if model else shelf.default()
    store, warning = open_store(paths)
    config = Config(paths.config)
    log = paths.engine_log if not warning else None
    client = EngineClient(info.path, device, log=log, precision=precision, compile=compile)
    service = ChatService(store, client, info)
    chat = PlainChat(service, config, shelf, _read_line, _write_out)
    chat.say(f"homespun, a private chat on this computer, with {info.name}. Do not trust its facts. /help tells more.")
    for sentence in (warning, note, *config.warnings):
        if sentence:
            chat.say(f"({sentence})")
    stop = asyncio.get_running_loop()

    def interrupt() -> None:
        if chat.replying:
            tasks.add(stop.create_task(service.stop()))
        else:
            chat.say("\n(Ctrl+D leaves.)")

    tasks: set[asyncio.Task[None]] = {stop.create_task(_load(client))}  # while the person types
    with suppress(NotImplementedError):  # Windows
        stop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        await chat.run()
    finally:
        await client.close()
        await asyncio.gather(*tasks, return_exceptions=True)  # a loading that this has ended
        store.close()


async def _load(client: EngineClient) -> None:
    with suppress(AssistantError, EngineError):  # the first reply tries again, and tells
        await client.load()


def run(model: str | None, device: str, data_dir: Path | None, precision: str, compile: bool) -> None:
    """Chat until the person leaves.

    Raises:
        ModelFolderError: there is no such model.
    """
    asyncio.run(_chat(model, device, data_dir, precision, compile))
