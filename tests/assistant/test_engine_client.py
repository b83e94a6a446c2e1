"""The client against a real process that behaves, dies, refuses and is slow."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from assistant.engine_client import EngineClient, EngineFailure
from assistant.errors import WorkerDied
from engine.protocol import Delta, Done, SamplingParams, Started

CHAT = [{"role": "user", "content": "Hi"}]


async def collect(client: EngineClient, chat=CHAT) -> tuple[str, Done]:
    events = [event async for event in client.generate(chat, SamplingParams())]
    assert isinstance(events[-1], Done)
    return "".join(e.text for e in events if isinstance(e, Delta)), events[-1]


async def test_load_and_answer_twice(model: Path, command: list[str]) -> None:
    client = EngineClient(model, command=command)
    assert (await client.load()).name == "fake"
    for _ in range(2):
        text, done = await collect(client)
        assert text == "You said: **Hi**"
        assert done.reason == "stop"
    await client.close()


async def test_cancel_ends_the_reply_soon(model: Path, command: list[str], monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    client = EngineClient(model, command=command)
    await client.load()
    began, events = 0.0, []
    async for event in client.generate(CHAT, SamplingParams()):
        events.append(event)
        if len(events) == 5:
            began = time.monotonic()
            await client.cancel()
    assert events[-1].reason == "cancelled"
    assert time.monotonic() - began < 2  # the reply would go on for twenty seconds
    await client.close()


async def test_a_worker_that_dies_is_told_of_and_started_again(model, command, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", f"die-once:{tmp_path / 'died'}")
    client = EngineClient(model, command=command)
    with pytest.raises(WorkerDied, match=r"stopped unexpectedly.*starts again"):
        await collect(client)
    assert (await collect(client))[0] == "You said: **Hi**"
    await client.close()


async def test_refusals_carry_the_engines_sentence(model: Path, command: list[str], monkeypatch) -> None:
    client = EngineClient(model, command=command)
    with pytest.raises(EngineFailure, match="too long") as caught:
        await collect(client, [{"role": "user", "content": "TOO LONG"}])
    assert caught.value.code == "prompt_too_long"
    assert (await collect(client))[1].reason == "stop", "the worker lives on"
    await client.close()
    monkeypatch.setenv("FAKE_WORKER", "no-model")
    broken = EngineClient(model, command=command)
    with pytest.raises(EngineFailure, match="cut short"):
        await broken.load()
    await broken.close()


async def test_a_command_that_is_not_there(model: Path) -> None:
    with pytest.raises(WorkerDied, match="could not be started"):
        await EngineClient(model, command=["/nowhere/python"]).load()


async def test_closing_ends_the_process(model: Path, command: list[str]) -> None:
    client = EngineClient(model, command=command)
    await client.load()
    process = client._process
    await client.close()
    assert process.returncode is not None
    await asyncio.sleep(0)


async def test_a_reply_nobody_reads_does_not_hold_up_the_next(model, command, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    client = EngineClient(model, command=command)
    async with aclosing(client.generate(CHAT, SamplingParams())) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
    async with asyncio.timeout(5), aclosing(client.generate(CHAT, SamplingParams())) as events:  # 20 s otherwise
        assert isinstance(await anext(events), Started)
    await client.close()
