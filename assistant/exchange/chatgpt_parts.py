"""What a message of ChatGPT's becomes as text: words, code, what was heard; pictures and tools by name or counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

HIDDEN = "is_visually_hidden_from_conversation"


def instructions(message: dict[str, Any]) -> str:
    """The person's custom instructions, where that is what `message` is; else ""."""
    content = _dict(message, "content")
    if content.get("content_type") != "user_editable_context":
        return ""
    parts = (content.get("user_profile"), content.get("user_instructions"))
    return "\n\n".join(part.strip() for part in parts if isinstance(part, str) and part.strip())


def text_of(message: dict[str, Any], notes: Counter[str]) -> tuple[str, str]:
    """Who says what: (role, text); the text is empty for what is not shown. What is left out goes into `notes`."""
    role = str(_dict(message, "author").get("role"))
    content = _dict(message, "content")
    kind = content.get("content_type")
    if _dict(message, "metadata").get(HIDDEN) is True or kind in ("user_editable_context", "model_editable_context"):
        return role, ""
    if kind in ("thoughts", "reasoning_recap"):
        notes["thoughts"] += kind == "thoughts"
        return role, ""
    if role == "tool":
        return "assistant", _tool(kind, content, notes)
    if role not in ("user", "assistant", "system"):
        return role, ""
    if kind == "code":
        return role, _code(message, content, notes)
    return role, _parts(content, notes)


def _tool(kind: Any, content: dict[str, Any], notes: Counter[str]) -> str:
    """What a program answered: of a run program its output, of a painter the pictures' places."""
    if kind == "execution_output" and isinstance(content.get("text"), str):
        return _fenced("", content["text"])
    if kind == "multimodal_text":
        return _parts(content, notes)
    notes["answers of tools"] += 1
    return ""


def _code(message: dict[str, Any], content: dict[str, Any], notes: Counter[str]) -> str:
    if message.get("recipient", "all") not in ("all", "python"):
        notes["calls of tools"] += 1  # a query to a search engine and the like
        return ""
    language = content.get("language")
    text = content.get("text")
    return _fenced(language if language not in (None, "unknown") else "", text) if isinstance(text, str) else ""


def _parts(content: dict[str, Any], notes: Counter[str]) -> str:
    parts = content.get("parts")
    if not isinstance(parts, list):
        parts = [content.get("text") or content.get("result")]
    return "\n\n".join(text for text in (_part(part, notes) for part in parts) if text.strip())


def _part(part: Any, notes: Counter[str]) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    kind = str(part.get("content_type", ""))
    if isinstance(part.get("text"), str):  # what was said, as it was understood
        return part["text"]
    for sign, name in (("image", "picture"), ("audio", "sound"), ("video", "film")):
        if sign in kind:
            notes[f"{name}s"] += 1
            return "" if name == "sound" else f"[{name}]"  # a sound's words are in a part of their own
    notes["attachments"] += 1
    return ""


def _fenced(language: Any, text: str) -> str:
    """`text` as a block of code, in a fence longer than any in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}" if text.strip() else ""


def _dict(data: dict[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}
