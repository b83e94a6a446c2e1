"""The engine's exception tree. Every message is one or two sentences that a person can act on.

Torch-free, so that the app may import it. `code` is the stable name that travels over the worker's pipe.

    EngineError
    ├── ModelFolderError        a model folder is missing, truncated, corrupt or of a kind we cannot open
    ├── PromptTooLongError      one message alone does not fit the model's context
    ├── EmptyPromptError        there is nothing to answer
    ├── DeviceError             the device asked for is not there
    ├── TemplateError           the chat template cannot render these messages
    └── ProtocolError           the worker and its client do not understand each other
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of everything the engine raises on purpose; `str(error)` is fit to show to a person."""

    code = "engine"


class ModelFolderError(EngineError):
    code = "model_folder"


class PromptTooLongError(EngineError):
    code = "prompt_too_long"


class EmptyPromptError(EngineError):
    code = "empty_prompt"


class DeviceError(EngineError):
    code = "device"


class TemplateError(EngineError):
    code = "template"


class ProtocolError(EngineError):
    code = "protocol"
