"""The worker's side of Label: keeps the classifier that was asked last and puts what it says into a message."""

from __future__ import annotations

from pathlib import Path

from engine.questions import Label, Labels
from engine.run.classifier import TextClassifier


class Labellers:
    """Classifiers by folder; the last one stays in memory."""

    def __init__(self) -> None:
        self._held: tuple[str, int] | None = None  # its folder, and when its weights were written
        self._classifier: TextClassifier | None = None

    def answer(self, message: Label) -> Labels:
        """What `message` asks for.

        Raises:
            ModelFolderError: the folder holds no classifier, or a damaged one.
        """
        weights = Path(message.model) / "model.safetensors"
        wanted = message.model, weights.stat().st_mtime_ns if weights.exists() else 0
        if self._classifier is None or self._held != wanted:
            self._classifier, self._held = TextClassifier.load(Path(message.model)), wanted
        rows = tuple(
            {"probabilities": list(found.probabilities), "tokens": found.tokens, "cut": found.cut}
            for found in self._classifier.classify(message.texts)
        )
        return Labels(message.request, self._classifier.labels, rows)
