"""What can go wrong in the lab, each with a sentence for the person at the screen. Torch-free."""

from __future__ import annotations


class TrainingError(Exception):
    """Anything that stops a stage; the text says what is wrong and what to do."""
