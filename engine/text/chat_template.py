"""ChatTemplate: messages → token ids, for training and for use alike.

The template is the model's own (Jinja, as in `tokenizer_config.json`), rendered in a sandbox (template_sandbox.py).
What people typed is kept apart from what the template writes, so a typed `<|im_end|>` is ten characters of text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from engine.catalog import read_json
from engine.errors import TemplateError
from engine.text.template_sandbox import TemplateTooSlow, compiled, time_limit
from engine.text.tokenizer import Tokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# For a base model, which was never taught to chat: it goes on with what it is given.
COMPLETION = "{{ bos_token }}{{ messages | map(attribute='content') | join('\\n\\n') }}"
END_OF_TURN, END_OF_TEXT = "<|im_end|>", "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|im_start|>", END_OF_TURN)

# Noncharacters, which cannot stand in a template or a message by accident: around a message's number, and inside the
# name of a special token that somebody typed.
_SLOT, _BREAK = re.compile("\ufdd0(\\d+)\ufdd1"), "\ufdd2"


class ChatTemplate:
    """Renders chats for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, source: str = CHATML, names: dict[str, str] | None = None) -> None:
        self.tokenizer, self.source, self.names = tokenizer, source, names or {}
        try:
            with time_limit():
                self._template = compiled(source)
        except (jinja2.TemplateError, TemplateTooSlow, RecursionError) as error:
            raise TemplateError(f"The model's chat template is not valid Jinja: {_short(error)}.") from error
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
        if isinstance(source, list):  # several, by name
            named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
            source = named.get("default")
        return cls(tokenizer, source, _names(config)) if isinstance(source, str) else None

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate | None:
        """The template in a GGUF file's metadata; None for a base model."""
        source, tokens = metadata.get("tokenizer.chat_template"), metadata.get("tokenizer.ggml.tokens", ())
        names = {}
        for name in ("bos", "eos"):
            token = metadata.get(f"tokenizer.ggml.{name}_token_id")
            if isinstance(token, int) and 0 <= token < len(tokens):
                names[f"{name}_token"] = tokens[token]
        return cls(tokenizer, source, names) if isinstance(source, str) else None

    @classmethod
    def completion(cls, tokenizer: Tokenizer) -> ChatTemplate:
        """For a base model: the texts alone, behind the token that the model wants a text to begin with."""
        begin = next((name for name, token in tokenizer.special_tokens.items() if token == tokenizer.bos), "")
        return cls(tokenizer, COMPLETION, {"bos_token": begin})

    def encode(self, messages: list[dict[str, str]], *, answer: bool = False) -> list[int]:
        """Ids of `messages`; with `answer`, ready for the assistant's next words."""
        return self.encode_with_mask(messages, answer=answer)[0]

    def encode_with_mask(self, messages: list[dict[str, str]], *, answer: bool = False) -> tuple[list[int], list[int]]:
        """(ids, mask): the mask is 1 on what the assistant has to say, each turn's end token included.

        Raises:
            TemplateError: the template refuses these messages or fails on them.
        """
        writer = _Writer(self.tokenizer)
        pieces = self._pieces(messages, answer)
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

    def _pieces(self, messages: list[dict[str, str]], answer: bool) -> list[str]:
        """The rendered chat, cut where a message's content stands unchanged: text, number, text, number, …, text.

        A template may change a content (trim it, say). Then nothing is cut out, and the names of special tokens that
        the content has in it are broken up instead.
        """
        slots = self._render([f"\ufdd0{i}\ufdd1" for i in range(len(messages))], messages, answer)
        broken = [self._broken(message["content"]) for message in messages]
        whole = self._render(broken, messages, answer)
        return _SLOT.split(slots) if _SLOT.sub(lambda slot: broken[int(slot[1])], slots) == whole else [whole]

    def _broken(self, text: str) -> str:
        return self._special.sub(lambda name: name[0][0] + _BREAK + name[0][1:], text) if self._special else text

    def _render(self, contents: list[str], messages: list[dict[str, str]], answer: bool) -> str:
        filled = [{**message, "content": content} for message, content in zip(messages, contents, strict=True)]
        values: dict[str, Any] = {"messages": filled, "add_generation_prompt": answer, "tools": None, **self.names}
        try:
            with time_limit():
                return self._template(**values)
        except TemplateTooSlow as error:
            raise TemplateError("The model's chat template takes too long: it seems to loop for ever.") from error
        except (jinja2.TemplateError, TypeError, LookupError, ValueError, ArithmeticError, RecursionError) as error:
            raise TemplateError(f"The model's chat template cannot render this chat: {_short(error)}.") from error
        except MemoryError as error:
            raise TemplateError("The model's chat template makes more text than fits into memory.") from error


def _names(config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens that a template may name; a name is a string or an object around one."""
    names = {}
    for key in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = config.get(key)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            names[key] = value
    return names


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


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
        if self.tokenizer.leading_space:
            self.text(text)  # a space before it belongs to its first token
            self.flush(mask=1)
        else:
            self.flush()  # the reply is generated from a fresh token on, so it is trained from one too
            self._add(self.tokenizer.encode(text, first=False), 1)
        self._awaiting_end = True
        return None

    def special(self, name: str) -> None:
        self.flush()
        self._add([self.tokenizer.special(name)], int(self._awaiting_end))
        self._awaiting_end = False

    def flush(self, mask: int = 0) -> None:
        if self._run:
            self._add(self.tokenizer.encode(self._run.replace(_BREAK, ""), first=not self.tokens), mask)
        self._run = ""

    def _add(self, tokens: list[int], mask: int) -> None:
        self.tokens += tokens
        self.mask += [mask] * len(tokens)
