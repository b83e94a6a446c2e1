"""The real worker process, asked through the app's real client: batches, scores, vectors, counts, alternatives."""

from __future__ import annotations

from pathlib import Path

from assistant.engine_client import EngineClient
from engine.protocol import Batch, Count, Delta, Done, Embed, SamplingParams, Score, Tokens

CHAT = [{"role": "user", "content": "Hi"}]


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
