"""ChatTemplate: messages → token ids, for training and for use alike.

The template is the model's own (Jinja, as in `tokenizer_config.json`), rendered in a sandbox with placeholders where
the contents go. Contents are then encoded as plain text, so a typed `<|im_end|>` is eight characters of text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.catalog import read_json
from engine.errors import TemplateError
from engine.tokenizer import Tokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# For a base model, which was never taught to chat: it goes on with what it is given.
COMPLETION = (
    "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
)
END_OF_TURN, END_OF_TEXT = "<|im_end|>", "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|im_start|>", END_OF_TURN)

_SLOT = re.compile("\ufdd0(\\d+)\ufdd1")  # noncharacters: they cannot stand in a template by accident


class ChatTemplate:
    """Renders chats for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, source: str = CHATML, names: dict[str, str] | None = None) -> None:
        self.tokenizer, self.source, self.names = tokenizer, source, names or {}
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise TemplateError(f"The model's chat template is not valid Jinja: {error}.") from error
        special = sorted(tokenizer.special_tokens, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, special)) + ")") if special else None

    @classmethod
    def load(cls, folder: Path, tokenizer: Tokenizer) -> ChatTemplate | None:
        """The template of a model folder; None for a base model, which has none."""
        path = folder / "tokenizer_config.json"
        config = read_json(path) if path.is_file() else {}
        if (folder / "chat_template.jinja").is_file():
            config["chat_template"] = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        source = config.get("chat_template")
        names = {key: config[key] for key in ("bos_token", "eos_token") if isinstance(config.get(key), str)}
        return cls(tokenizer, source, names) if isinstance(source, str) else None

    def encode(self, messages: list[dict[str, str]], *, answer: bool = False) -> list[int]:
        """Ids of `messages`; with `answer`, ready for the assistant's next words."""
        return self.encode_with_mask(messages, answer=answer)[0]

    def encode_with_mask(self, messages: list[dict[str, str]], *, answer: bool = False) -> tuple[list[int], list[int]]:
        """(ids, mask): the mask is 1 on what the assistant has to say, each turn's end token included.

        Raises:
            TemplateError: the template refuses these messages or fails on them.
        """
        writer = _Writer(self.tokenizer)
        pieces = _SLOT.split(self._render(messages, answer))
        for index, piece in enumerate(pieces):
            if index % 2:
                message = messages[int(piece)]
                writer.content(message["content"], spoken=message["role"] == "assistant")
                continue
            for part in self._special.split(piece) if self._special else [piece]:
                if part in self.tokenizer.special_tokens:
                    writer.special(part)
                else:
                    writer.text(part)
        writer.flush()
        return writer.tokens, writer.mask

    def _render(self, messages: list[dict[str, str]], answer: bool) -> str:
        slots = [{**message, "content": f"\ufdd0{i}\ufdd1"} for i, message in enumerate(messages)]
        values: dict[str, Any] = {"messages": slots, "add_generation_prompt": answer, **self.names}
        try:
            return self._template.render(**values)
        except (jinja2.TemplateError, TypeError, LookupError, ValueError, ArithmeticError) as error:
            raise TemplateError(f"The model's chat template cannot render this chat: {error}.") from error


class _Writer:
    """Collects ids and mask; neighbouring plain text is encoded in one go, as a whole-string tokenizer would."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.tokens: list[int] = []
        self.mask: list[int] = []
        self._run = ""
        self._awaiting_end = False

    def text(self, text: str) -> None:
        self._run += text

    def content(self, text: str, *, spoken: bool) -> None:
        if not spoken:
            return self.text(text)
        self.flush()  # the reply is generated from a fresh token on, so it is trained from one too
        self._add(self.tokenizer.encode(text), 1)
        self._awaiting_end = True
        return None

    def special(self, name: str) -> None:
        self.flush()
        self._add([self.tokenizer.special(name)], int(self._awaiting_end))
        self._awaiting_end = False

    def flush(self) -> None:
        self._add(self.tokenizer.encode(self._run), 0)
        self._run = ""

    def _add(self, tokens: list[int], mask: int) -> None:
        self.tokens += tokens
        self.mask += [mask] * len(tokens)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)
