"""Time to the first token: of a cold `homespun ask` against a transformers script, of a worker that has its model, and
of a chat's second turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from assistant.engine_client import EngineClient
from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.files.model_folder import load_fused
from engine.protocol import Delta, Generate, SamplingParams
from engine.questions import Count
from engine.run.device import choose
from engine.run.generate import Generator
from tests.benchmarks.timing import Measured, rounds, table

MODEL = BUNDLED / DEFAULT_MODEL
QUESTION = "Tell me a story about a dog."
# Pasted text of a page or so: reading it takes the time that the kept cache saves.
LONG = "Here is what happened today. " + "The dog ran to the river and the boy ran after the dog. " * 40
TRANSFORMERS = f"""
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer
tokenizer = AutoTokenizer.from_pretrained({str(MODEL)!r})
model = AutoModelForCausalLM.from_pretrained({str(MODEL)!r})
chat = [{{"role": "user", "content": {QUESTION!r}}}]
inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
class Printer(TextStreamer):
    def put(self, value):
        if value.numel() == 1:
            print(tokenizer.decode(value), flush=True)
model.generate(**inputs, max_new_tokens=5, do_sample=False, streamer=Printer(tokenizer))
"""


def first_byte(*command: str) -> float:
    """Seconds from the start of the process to the first byte on its stdout."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        if not process.stdout.read(1):
            raise RuntimeError(f"{command[:3]} printed nothing")
        taken = time.perf_counter() - began
        process.kill()
    return taken


async def warm(client: EngineClient, words: str) -> float:
    """Seconds from the app's question to the first text in the app, through the worker's pipe."""
    began = time.perf_counter()
    taken = 0.0
    question = [{"role": "user", "content": words}]
    async for event in client.generate(question, SamplingParams(0.0, max_tokens=3)):
        if isinstance(event, Delta) and not taken:
            taken = time.perf_counter() - began
    return taken


async def warm_worker() -> tuple[Measured, int]:
    """(times to the first text for a chat of about 64 tokens that was never seen before, its tokens)."""
    client = EngineClient(MODEL)
    await client.load()
    values, tokens = [], 0
    for number in range(12):
        words = f"Number {number}. " + "The dog ran to the river and the boy ran after the dog. " * 3 + "What now?"
        values.append(await warm(client, words))
        counts = await client.ask(Count("", (words,)))
        tokens = counts.tokens[0]  # type: ignore[attr-defined]
    await client.close()
    return Measured(values[2:]), tokens


def second_turn(generator: Generator, *, keep: bool) -> float:
    """Seconds to the first text of the second answer in a chat that began with a long message."""
    params = SamplingParams(0.0, max_tokens=20)
    first = ({"role": "user", "content": LONG},)
    reply = "".join(e.text for e in generator.reply(Generate("1", first, params)) if isinstance(e, Delta))
    if not keep:
        generator = Generator(generator.loaded)
    chat = (*first, {"role": "assistant", "content": reply}, {"role": "user", "content": "And then?"})
    began = time.perf_counter()
    for event in generator.reply(Generate("2", chat, params)):
        if isinstance(event, Delta):
            break
    return time.perf_counter() - began


def main() -> None:
    python = sys.executable
    results = rounds(
        {
            "homespun ask": lambda: first_byte(python, "-m", "assistant.cli", "ask", "--seed", "1", QUESTION),
            "transformers script": lambda: first_byte(python, "-c", TRANSFORMERS),
        },
        5,
    )
    table("cold start to the first token", "s", results, ours="homespun ask", more_is_better=False)
    measured, tokens = asyncio.run(warm_worker())
    table(
        f"warm worker, {tokens} tokens, to the first text",
        "s",
        {"homespun": measured},
        ours="homespun",
        more_is_better=False,
    )
    place = choose()
    generator = Generator(load_fused(MODEL, place))
    turns = rounds(
        {
            "second turn": lambda: second_turn(generator, keep=True),
            "the same without the kept cache": lambda: second_turn(generator, keep=False),
        },
        7,
    )
    table(f"chat, second turn to the first token ({place.note})", "s", turns, ours="second turn", more_is_better=False)
