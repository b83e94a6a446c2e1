"""Slash commands of the prompt: which there are, reading one, completing one. What each does is on_commands.py."""

from __future__ import annotations

from assistant.errors import UsageError

# Each command's argument and what it does. The names of settings are those of sampling.SETTINGS.
COMMANDS: dict[str, tuple[str, str]] = {
    "system": ("TEXT", "what the model is told before the chat; without TEXT, shows it"),
    "temp": ("NUMBER", "temperature of this chat; without NUMBER, the model's own"),
    "top-p": ("NUMBER", "top-p of this chat"),
    "top-k": ("NUMBER", "top-k of this chat"),
    "min-p": ("NUMBER", "min-p of this chat"),
    "repeat": ("NUMBER", "repetition penalty of this chat"),
    "max": ("NUMBER", "the longest reply, in tokens"),
    "seed": ("NUMBER", "the same seed gives the same reply"),
    "default": ("", "make this chat's settings the model's default"),
    "persona": ("NAME", "have the model told what a persona says; without NAME, choose"),
    "chat": ("", "this chat's instruction and settings"),
    "settings": ("", "what holds for all chats"),
    "export": ("FILE", "write this chat to FILE.md, .json or .html, or everything to FILE.zip"),
    "import": ("FILE", "bring in chats: an archive, ChatGPT's export, llm's logs.db"),
    "library": ("NAME", "answer from documents: a library, or a folder or file; - for none"),
    "rename": ("TITLE", "give this chat a name"),
    "train": ("", "teach the model, from files, typed answers or your marks"),
    "inspect": ("", "look inside the reply: how likely each token was, what else was, what it looked at"),
    "model": ("", "choose another model"),
    "new": ("", "begin a new chat"),
    "temporary": ("", "begin a chat that is never written"),
    "search": ("", "search all chats"),
    "spam": ("FILE", "judge whether a mail is spam; without FILE, one that is pasted"),
    "help": ("", "show the keys"),
}
SETTING_OF = {
    "temp": "temperature",
    "top-p": "top_p",
    "top-k": "top_k",
    "min-p": "min_p",
    "repeat": "repetition_penalty",
    "max": "max_tokens",
    "seed": "seed",
}


def read_command(text: str) -> tuple[str, str] | None:
    """Name and argument of a command; None where `text` is an ordinary message (also one about /a/path).

    Raises:
        UsageError: it looks like a command, but there is none of this name, or it takes nothing and there is more.
    """
    head, _, rest = text.strip().partition(" ")
    name = head[1:]
    if not head.startswith("/") or not name or not name.replace("-", "").isalpha() or "\n" in head:
        return None
    if name not in COMMANDS:
        raise UsageError(f"There is no command /{name}. There are: {', '.join('/' + known for known in COMMANDS)}.")
    if rest.strip() and not COMMANDS[name][0]:
        raise UsageError(f"/{name} stands alone. As a message, this had better begin with another word.")
    return name, rest.strip()


def completion(text: str) -> str:
    """What is missing of the command that `text` begins, its argument's name included; "" for anything else."""
    if not text.startswith("/") or len(text) < 2:
        return ""
    for name, (argument, _) in COMMANDS.items():
        if text[1:] == name:
            return f" {argument}" if argument else ""
        if name.startswith(text[1:]):
            return name[len(text) - 1 :]
    return ""
