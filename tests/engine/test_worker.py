"""The worker as a real process, over its real pipe."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol import (
    Cancel,
    Delta,
    Done,
    Failed,
    Generate,
    Load,
    Loaded,
    Message,
    SamplingParams,
    Shutdown,
    Started,
    decode,
    encode,
)

LONG = SamplingParams(1.0, top_p=1.0, max_tokens=100_000, seed=1)
SHORT = SamplingParams(max_tokens=20)


class Pipe:
    """One worker process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "engine.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def send(self, message: Message) -> None:
        self.raw(encode(message))

    def raw(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self) -> Message:
        assert self.process.stdout
        return decode(self.process.stdout.readline())

    def until(self, *kinds: type[Message]) -> list[Message]:
        messages = [self.receive()]
        while not isinstance(messages[-1], kinds):
            messages.append(self.receive())
        return messages


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.process.kill()
    pipe.process.wait()
    for stream in (pipe.process.stdin, pipe.process.stdout, pipe.process.stderr):
        stream.close()


@pytest.fixture
def loaded(pipe: Pipe, tiny_folder: Path) -> Pipe:
    pipe.send(Load(str(tiny_folder), device="cpu", precision="fp32"))
    answer = pipe.receive()
    assert isinstance(answer, Loaded)
    assert (answer.name, answer.device, answer.context_length) == ("tiny", "cpu", 256)
    return pipe


def ask(request: str, text: str, params: SamplingParams = SHORT) -> Generate:
    return Generate(request, ({"role": "user", "content": text},), params)


def test_load_answer_and_shut_down(loaded: Pipe) -> None:
    loaded.send(ask("1", "Hello"))
    answers = loaded.until(Done)
    assert isinstance(answers[0], Started)
    assert {a.request for a in answers} == {"1"}
    loaded.send(Shutdown())
    assert loaded.process.wait(10) == 0


def test_a_worker_that_has_rested_says_the_same(loaded: Pipe) -> None:
    """Where nothing is asked for a while, decoding is recorded (traced.py)."""

    def ask(request: str) -> str:
        messages = ({"role": "user", "content": "Hello!"},)
        loaded.send(Generate(request, messages, SamplingParams(0.0, max_tokens=40)))
        return "".join(m.text for m in loaded.until(Done, Failed) if isinstance(m, Delta))

    at_once = ask("1")
    time.sleep(1)
    assert at_once
    assert ask("2") == at_once


def test_cancel_is_heard_within_100_ms_of_work(loaded: Pipe) -> None:
    """The tiny model's context is full too soon to be cancelled in time, so the question is asked again and again."""
    for index in range(50):
        loaded.send(ask(str(index), "Hello", LONG))
    loaded.until(Started)
    for index in range(50):
        loaded.send(Cancel(str(index)))
    began = time.monotonic()
    done: list[Done] = []
    while len(done) < 50:
        if isinstance(message := loaded.receive(), Done):
            done.append(message)
    assert done[-1].reason == "cancelled"
    assert time.monotonic() - began < 5, "fifty full replies would take far longer"


def test_a_bad_folder_a_bad_line_and_a_bad_prompt_leave_the_worker_alive(loaded: Pipe, tiny_folder: Path) -> None:
    loaded.raw(b"this is no message\n")
    failed = loaded.receive()
    assert isinstance(failed, Failed)
    assert failed.code == "protocol"
    loaded.send(ask("2", "   "))
    failed = loaded.receive()
    assert isinstance(failed, Failed)
    assert (failed.request, failed.code) == ("2", "empty_prompt")
    loaded.send(ask("3", "x" * 5000))
    failed = loaded.receive()
    assert isinstance(failed, Failed)
    assert failed.code == "prompt_too_long"
    loaded.send(Load("/nowhere/at/all"))
    failed = loaded.receive()
    assert isinstance(failed, Failed)
    assert (failed.request, failed.code) == ("load", "model_folder")
    assert "/nowhere/at/all" in failed.message
    loaded.send(Load(str(tiny_folder), precision="fp32"))
    assert isinstance(loaded.receive(), Loaded)
    loaded.send(ask("4", "Hello"))
    assert isinstance(loaded.until(Done)[-1], Done)


def test_the_worker_ends_when_its_stdin_closes_even_in_mid_reply(loaded: Pipe) -> None:
    for index in range(200):
        loaded.send(ask(str(index), "Hello", LONG))
    loaded.until(Started)
    loaded.process.stdin.close()
    drain = threading.Thread(target=loaded.process.stdout.read, daemon=True)
    drain.start()
    assert loaded.process.wait(20) == 0
    drain.join()


def test_deltas_are_coalesced(loaded: Pipe) -> None:
    loaded.send(ask("1", "Hello", SamplingParams(1.0, top_p=1.0, max_tokens=200, seed=3)))
    began = time.monotonic()
    answers = loaded.until(Done)
    seconds = time.monotonic() - began
    deltas = [a for a in answers if isinstance(a, Delta)]
    assert 1 <= len(deltas) <= seconds * 15 + 3
    assert all(delta.text for delta in deltas)
