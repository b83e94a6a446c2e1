"""Whether documents help the bundled model: its answers to questions about a document in the repository, without any
passages, with those found by words (BM25, what the app does), by its own vectors, and by both.

Two measures: of four answers the likeliest a token is the right one; and the right one stands in the greedy reply.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assistant.engine_client import EngineClient
from assistant.library.grounding import budget, chosen, most, passage, with_passages
from assistant.library.indexing import index
from assistant.storage.libraries import Libraries, Source
from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.protocol import SamplingParams
from engine.questions import Batch, Count, Embed, Score

ROOT = Path(__file__).parents[2]
LONGEST = 48  # tokens of a reply


async def vectors(client: EngineClient, texts: Sequence[str]) -> list[list[float]]:
    """Of length one, their common mean taken away first: without that, all texts lie in one direction."""
    rows: list[list[float]] = []
    for start in range(0, len(texts), 64):
        rows += (await client.ask(Embed("", tuple(texts[start : start + 64])))).vectors  # type: ignore[attr-defined]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    centred = [[x - m for x, m in zip(row, mean, strict=True)] for row in rows]
    return [[x / (math.hypot(*row) or 1.0) for x in row] for row in centred]


def nearest(question: list[float], texts: Sequence[list[float]]) -> list[int]:
    return sorted(range(len(texts)), key=lambda i: -sum(a * b for a, b in zip(question, texts[i], strict=True)))


def fused(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Reciprocal rank fusion (Cormack et al. 2009)."""
    score: dict[int, float] = {}
    for ranking in (one, other):
        for rank, item in enumerate(ranking):
            score[item] = score.get(item, 0.0) + 1 / (60 + rank)
    return sorted(score, key=lambda item: -score[item])


async def fitting(client: EngineClient, question: str, found: Sequence[Source]) -> list[Source]:
    """What the app would put into the prompt of `found`."""
    context = (await client.load()).context_length
    texts = (question, *(passage(one) for one in found))
    tokens = (await client.ask(Count("", texts))).tokens  # type: ignore[attr-defined]
    return chosen(found, tokens[1:], budget(context, tokens[0], 512), most(context))


Grade = tuple[bool, bool, float, bool]


async def graded(client: EngineClient, one: dict[str, Any], sources: Sequence[Source]) -> Grade:
    """(the likeliest answer is right, the reply has it, bits a token of it, a passage has it)."""
    asked = [{"role": "user", "content": with_passages(one["ask"], sources)}]
    answers = [one["answer"], *one["wrong"]]
    sure = await client.ask(Score("", tuple(asked), tuple(a[0].upper() + a[1:] + "." for a in answers)))
    means = [sum(row) / len(row) for row in sure.scores]  # type: ignore[attr-defined]
    said = await client.ask(Batch("", (asked,), SamplingParams(0.0, max_tokens=LONGEST)))
    reply = said.replies[0]["text"].casefold()  # type: ignore[attr-defined]
    word = one["answer"].casefold().removeprefix("the ").removeprefix("a ")
    there = any(word in source.text.casefold() for source in sources)
    return means[0] == max(means), word in reply, -means[0] / math.log(2), there


async def measure(questions: list[dict[str, Any]], store: Libraries) -> dict[str, list[Grade]]:
    client = EngineClient(BUNDLED / DEFAULT_MODEL)
    rows = store._all("SELECT d.path, p.heading, p.page, p.text FROM passages p JOIN documents d ON d.id = p.document")
    passages = [Source(**dict(row)) for row in rows]
    place = {one.text: index for index, one in enumerate(passages)}
    spread = await vectors(client, [passage(one) for one in passages] + [one["ask"] for one in questions])
    results: dict[str, list[Grade]] = {}
    for one, vector in zip(questions, spread[len(passages) :], strict=True):
        words = [place[found.text] for found in store.find("bench", one["ask"], 50)]
        near = nearest(vector, spread[: len(passages)])[:50]
        ways = {"nothing": [], "words (BM25)": words, "own vectors": near, "both": fused(words, near)}
        for name, order in ways.items():
            sources = await fitting(client, one["ask"], [passages[i] for i in order[:12]])
            results.setdefault(name, []).append(await graded(client, one, sources))
    await client.close()
    return results


def main() -> None:
    data = tomllib.loads((Path(__file__).parent / "questions.toml").read_text())
    questions, document = data["question"], ROOT / data["document"]
    with tempfile.TemporaryDirectory() as folder:
        store = Libraries(Path(folder) / "bench.db")
        store.add_source("bench", str(document))
        index(store, "bench")
        (library,) = store.libraries()
        results = asyncio.run(measure(questions, store))
        store.close()
    print(f"\n{len(questions)} questions about {data['document']}, {library.passages} passages; {DEFAULT_MODEL}")
    print(f"{'passages found by':20s}{'likeliest is right':>20s}{'said in reply':>15s}{'bits/token':>12s}{'found':>8s}")
    for name, rows in results.items():
        right, said, bits, there = (sum(column) for column in zip(*rows, strict=True))
        count = len(rows)
        print(f"{name:20s}{right:>14d} of {count}{said:>10d} of {count}{bits / count:>10.2f}{there:>6d} of {count}")


if __name__ == "__main__":
    main()
