"""scikit-learn, where it is installed: it fits what comes with the scorers, and judging never needs it."""

from __future__ import annotations

import importlib
from typing import Any

from training.errors import TrainingError


def sklearn(module: str) -> Any:
    """Module `module` of scikit-learn.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise TrainingError("This needs scikit-learn: pip install 'homespun[spam-baseline]'.") from error
