"""The keys of the lists one chooses from: models, documents, personas. Their buttons and notes are made from them."""

from __future__ import annotations

from functools import partial

from assistant.screens.bindings import key

_on_model, _on_library = partial(key, group="models-"), partial(key, group="libraries-")
_on_persona = partial(key, group="personas-")

MODEL_KEYS = (
    _on_model("a", "add", "Add", "Bring a model here, or open a folder or a GGUF file"),
    _on_model("d", "default", "Default", "Have new windows begin with the model"),
    _on_model("i", "info", "Info", "Show everything about the model"),
    _on_model("delete,backspace", "remove", "Remove", "Remove the model"),
    _on_model("s", "stop", "Stop", "Stop bringing a model here"),
)
LIBRARY_KEYS = (
    _on_library("n", "without", "Use none", "Answer without documents"),
    _on_library("a", "add", "Add", "Add a folder or a file"),
    _on_library("r", "read", "Read anew", "Read the documents anew"),
    _on_library("d", "documents", "Documents", "List the documents of the library"),
    _on_library("delete,backspace", "remove", "Remove", "Remove the library; the documents stay"),
    _on_library("s", "stop", "Stop", "Stop reading"),
)
PERSONA_KEYS = (
    _on_persona("n", "add", "New", "Make a persona"),
    _on_persona("e", "edit", "Edit", "Change what the persona tells the model"),
    _on_persona("delete,backspace", "forget", "Delete", "Delete the persona"),
)
