"""A sandbox for chat templates: Jinja as transformers renders it, that can neither reach out nor run away.

Attributes and state are out of reach (Jinja's own sandbox); here are the limits on time and size, and the few names
that models' templates expect.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 1.0  # a template has to be done by then; real ones take a millisecond
LONGEST = 10_000_000  # characters that `*` may make


class TemplateTooSlow(Exception):
    """A template took longer than `SECONDS`."""


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment that chat templates are rendered in."""

    intercepted_binops = frozenset(("*", "**"))

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation])
        self.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        self.filters["tojson"] = _to_json

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`*` and `**`, unless what they make would be enormous."""
        if operator == "**" and not (isinstance(right, int | float) and abs(right) <= 64):
            raise jinja2.exceptions.SecurityError("a power that large")
        for many, times in ((left, right), (right, left)):
            if operator == "*" and hasattr(many, "__len__") and isinstance(times, int) and len(many) * times > LONGEST:
                raise jinja2.exceptions.SecurityError("text that long")
        return super().call_binop(context, operator, left, right)


class Generation(Extension):
    """`{% generation %}…{% endgeneration %}`, which marks what the assistant says and prints what is inside."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's way of naming them

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise TemplateTooSlow in this thread if the block takes longer; only Python code can be interrupted so.

    Raises:
        TemplateTooSlow: it did.
    """
    thread, done, guard = threading.get_ident(), False, threading.Lock()
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def fire() -> None:
        with guard:
            if not done:
                raise_in(ctypes.c_ulong(thread), ctypes.py_object(TemplateTooSlow))

    timer = threading.Timer(seconds, fire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with guard:
            done = True
        timer.cancel()


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    """Plain JSON; Jinja's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def compiled(source: str) -> Callable[..., str]:
    """A function that renders `source`.

    Raises:
        jinja2.TemplateError: it is no Jinja.
    """
    return Sandbox().from_string(source).render
