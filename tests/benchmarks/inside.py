"""What looking inside costs: decoding while every token's alternatives are told, and a look at a finished reply."""

from __future__ import annotations

import time
from dataclasses import replace

from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.files.model_folder import LoadedModel, load_fused
from engine.inspecting import Attend, Inspect
from engine.protocol import Done, Generate, SamplingParams, Tokens
from engine.run.answers import answer
from engine.run.device import choose
from engine.run.generate import Generator
from tests.benchmarks.timing import rounds, seconds, table

MODEL = BUNDLED / DEFAULT_MODEL
ASKED = ({"role": "user", "content": "Tell me a long story about a dog who went to sea."},)
PARAMS = SamplingParams(1.0, max_tokens=256, seed=1)


def speed(loaded: LoadedModel, alternatives: int) -> float:
    """Decoded tokens/s of one reply whose tokens are told with so many alternatives."""
    events = Generator(replace(loaded, end_tokens=frozenset())).reply(
        Generate("r", ASKED, PARAMS, alternatives=alternatives)
    )
    return next(event.tokens_per_second for event in events if isinstance(event, Done))


def main() -> None:
    loaded = load_fused(MODEL, choose())
    results = rounds({f"{n} alternatives": (lambda n=n: speed(loaded, n)) for n in (0, 8)}, 7)
    table("decoding while alternatives are told", "tokens/s", results, ours="8 alternatives", more_is_better=True)
    generator = Generator(loaded)
    told = list(generator.reply(Generate("r", ASKED, PARAMS, alternatives=1)))
    reply = tuple(token["token"] for event in told if isinstance(event, Tokens) for token in event.tokens)
    look = Inspect("i", ASKED, tokens=reply)
    found = answer(generator, look, lambda: False)
    context = tuple(t["token"] for t in (*found.prompt, *found.reply))  # type: ignore[attr-defined]
    questions = {
        f"probabilities of {len(reply)} tokens": look,
        f"attention of a token over {len(context)}": Attend("a", context, len(context) - 1),
    }
    for title, question in questions.items():
        taken = rounds({"homespun": lambda q=question: seconds(lambda: answer(generator, q, lambda: False)) * 1000}, 5)
        table(title, "ms", taken, ours="homespun", more_is_better=False)


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"({time.perf_counter() - began:.0f} s)")
