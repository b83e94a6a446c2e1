"""Personas: short instructions with names, to begin a chat with. A few come with homespun; a person adds others.

Own ones are in the database; one with the name of a built-in one stands in its place.
"""

from __future__ import annotations

from assistant.errors import UsageError
from assistant.storage.store import Store
from assistant.text import printable

# Short, for a small model reads every word of it before every reply.
BUILT_IN: dict[str, str] = {
    "Brief": "Answer in one or two short sentences. Leave out introductions and repetitions.",
    "Tutor": (
        "You are a patient teacher. Explain one step at a time with a small example, then ask a question that shows "
        "whether it was understood."
    ),
    "Editor": (
        "You improve the text you are given. Keep its meaning and its tone. First write the improved text, then list "
        "what you changed and why."
    ),
    "Programmer": (
        "You help with programs. Give short code that works, in a block with its language named, then explain it in a "
        "few sentences. Say so when you are not sure."
    ),
    "Sceptic": (
        "You look for what is wrong or missing in what you are told. Name the weakest point first, then what would "
        "settle it. Be fair and polite."
    ),
    "Translator": (
        "Translate what you are given into English; translate English into the language that is asked for. Write only "
        "the translation."
    ),
    "Storyteller": "You tell short stories in plain, lively words, with a beginning, a turn and an end.",
}
LONGEST_NAME = 40


def library(store: Store) -> dict[str, str]:
    """All personas by name: what each tells the model. The person's own ones stand last."""
    own = store.personas()
    return {**{name: own.get(name, text) for name, text in BUILT_IN.items()}, **own}


def named(store: Store, name: str) -> tuple[str, str]:
    """The persona called `name`, in any case, or the only one that begins so.

    Raises:
        UsageError: there is none, or there are several.
    """
    known = library(store)
    wanted = name.strip().casefold()
    found = [n for n in known if n.casefold() == wanted] or [n for n in known if n.casefold().startswith(wanted)]
    if len(found) != 1 or not wanted:
        raise UsageError(f"There is no persona {name.strip()!r}. There are: {', '.join(known)}.")
    return found[0], known[found[0]]


def name_of(store: Store, system: str) -> str:
    """The name of the persona that tells the model `system`; "" where none does."""
    return next((name for name, text in library(store).items() if text == system), "") if system else ""


def save(store: Store, name: str, system: str) -> None:
    """Keep a persona of one's own.

    Raises:
        UsageError: it has no name, too long a one, or nothing to say.
    """
    name, system = " ".join(printable(name).split()), printable(system).strip()
    if not name or len(name) > LONGEST_NAME:
        raise UsageError(f"A persona needs a name of 1 to {LONGEST_NAME} characters.")
    if not system:
        raise UsageError("A persona needs something that it tells the model.")
    store.save_persona(name, system)
