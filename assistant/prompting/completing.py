"""What could complete what is being typed in the prompt: a command, its argument, or a file behind an @."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.prompting.commands import COMMANDS
from assistant.prompting.path_completion import candidates

_MENTION = re.compile(r'(?:^|\s)(@("?)([^"\s]*|(?<=")[^"]*))$')
LISTED = 50  # files offered at once
_PATHS = ("export",)  # commands whose argument is a path


@dataclass(frozen=True)
class Offer:
    """`text` would stand in the place of the `typed` before the cursor."""

    typed: str
    text: str
    hint: str = ""
    sends: bool = False  # Enter completes it and sends it; otherwise only Tab, or Enter on one moved to, completes it

    @property
    def complete(self) -> bool:
        return self.typed == self.text.rstrip()


def offers(before: str, *, first: bool, arguments: Mapping[str, Sequence[str]]) -> list[Offer]:
    """What fits to `before`, the line up to the cursor, which is the `first` line of the prompt or not.

    `arguments`: what the arguments of some commands can be.
    """
    if first and (found := re.fullmatch(r"/([a-z-]*)", before)):
        return [
            Offer(before, f"/{name}" + (" " if argument else ""), f"{argument}  {what}".strip(), sends=not argument)
            for name, (argument, what) in COMMANDS.items()
            if name.startswith(found[1])
        ]
    if first and (found := re.fullmatch(r"/([a-z-]+) (.*)", before)):
        command, typed = found[1], found[2]
        if command in _PATHS:
            return [Offer(typed, path) for path in candidates(typed, most=LISTED)] if typed else []
        wanted = arguments.get(command, ())
        return [Offer(typed, one, sends=True) for one in wanted if one.lower().startswith(typed.lower())]
    if found := _MENTION.search(before):
        return [Offer(found[1], _mention(path)) for path in candidates(found[3], most=LISTED) if '"' not in path]
    return []


def _mention(path: str) -> str:
    """A folder's mention stays open, to go on into it."""
    quoted = f'@"{path}' + ("" if path.endswith("/") else '"') if " " in path else f"@{path}"
    return quoted if path.endswith("/") else quoted + " "
