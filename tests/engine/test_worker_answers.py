"""The real worker process, asked through the app's real client: batches, scores, vectors, counts, alternatives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.engine_client import EngineClient
from engine.errors import EngineError
from engine.protocol import Delta, Done, SamplingParams, Tokens
from engine.questions import Batch, Count, Embed, Label, Score
from engine.run.classifier import TextClassifier
from tests.engine.test_classifier import make, write

CHAT = [{"role": "user", "content": "Hi"}]


async def test_a_classifier_labels_texts_in_the_worker_without_a_model(tiny_folder: Path, tmp_path: Path) -> None:
    made = make()
    folder = write(tmp_path / "labels", made, json.loads((tiny_folder / "tokenizer.json").read_text()))
    client = EngineClient(Path())  # no model to answer with
    try:
        told = await client.ask(Label("", ("free money", "word " * 200), str(folder)))
        with pytest.raises(EngineError, match="holds no classifier"):
            await client.ask(Label("", ("free money",), str(tiny_folder)))
    finally:
        await client.close()
    assert told.labels == ("ham", "spam", "unsure")  # type: ignore[attr-defined]
    first, long = told.rows  # type: ignore[attr-defined]
    expected = TextClassifier.load(folder).classify(["free money"])[0].probabilities
    assert first["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert first["cut"] == 0
    assert long["cut"] == long["tokens"] - 48


async def test_one_process_answers_everything(tiny_folder: Path) -> None:
    client = EngineClient(tiny_folder, "cpu", precision="fp32")
    try:
        counts = await client.ask(Count("", ("abc", "é")))
        scores = await client.ask(Score("", tuple(CHAT), ("yes", "no way")))
        vectors = await client.ask(Embed("", ("abc",)))
        replies = await client.ask(Batch("", (CHAT, CHAT), SamplingParams(0.0, max_tokens=5), samples=2))
        events = [e async for e in client.generate(CHAT, SamplingParams(0.0, max_tokens=9), alternatives=2)]
    finally:
        await client.close()
    assert counts.tokens == (3, 2)  # type: ignore[attr-defined]
    assert [len(score) for score in scores.scores] == [3, 6]  # type: ignore[attr-defined]
    assert len(vectors.vectors[0]) == 32  # type: ignore[attr-defined]
    texts = {reply["text"] for reply in replies.replies}  # type: ignore[attr-defined]
    assert len(replies.replies) == 4  # type: ignore[attr-defined]
    assert len(texts) == 1  # greedy
    told = [token for event in events if isinstance(event, Tokens) for token in event.tokens]
    assert isinstance(events[-1], Done)
    assert len(told) == events[-1].tokens
    shown = "".join(event.text for event in events if isinstance(event, Delta))
    assert shown[:1] == told[0]["text"][:1]
