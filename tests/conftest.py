"""The order of the tests: files with the longest ones first, so that no process is left alone with one at the end.

And Ctrl+C works in what they start: a shell has what it runs in the background ignore it, and that is handed down.
"""

from __future__ import annotations

import signal
from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], str(item.path)))  # within a file they stay as they are


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
