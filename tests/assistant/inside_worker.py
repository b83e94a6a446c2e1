"""A worker without a model that tells tokens: "one two three", each word a token, with known probabilities.

INSIDE_WORKER=slow waits between the words, which are many more, until it is cancelled; =wait waits behind the second.
"""

from __future__ import annotations

import base64
import math
import os
import queue
import sys
import threading
import time

from engine.protocol import Cancel, Delta, Done, Generate, Load, Loaded, Shutdown, Started, Tokens, decode, encode
from engine.questions import Attend, Attention, Inspect, Inspected

SLOW, WAITS = (os.environ.get("INSIDE_WORKER") == mode for mode in ("slow", "wait"))
END = 99
WORDS = {1: "one", 2: " two", 3: " three", 4: " four", 5: "\n", 6: "\x1b[31m", END: "<|im_end|>"}
SAID = [1, 2, 6, 3, 5]
PROBABILITY = {1: 0.95, 2: 0.3, 3: 0.6, 5: 0.999, 6: 0.01}
cancelled: set[str] = set()


def send(message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


def told(token: int) -> dict:
    score = math.log(PROBABILITY.get(token, 0.2))
    others = [(token, score), (4, math.log(0.25)), (END, math.log(0.1))]
    others.sort(key=lambda pair: -pair[1])
    pairs = [[WORDS[other], value] for other, value in others]
    ids = [other for other, _ in others]
    return {"token": token, "text": WORDS[token], "log_probability": score, "alternatives": pairs, "ids": ids}


def generate(job: Generate) -> None:
    send(Started(job.request, 4, 0, 0, 64, 7))
    begin = [t for t in job.begin if t != END]
    if begin:
        send(Delta(job.request, "".join(WORDS[t] for t in begin)))
    said = [] if END in job.begin else [2] * 5000 if SLOW else SAID[len(begin) :]
    for index, token in enumerate(said):
        if job.request in cancelled:
            send(Done(job.request, "cancelled", index, 50.0, 0.1, 4 + index))
            return
        while WAITS and index == 2 and job.request not in cancelled:
            time.sleep(0.05)
        send(Tokens(job.request, (told(token),)))
        send(Delta(job.request, WORDS[token]))
        time.sleep(0.05 if SLOW else 0)
    send(Done(job.request, "stop", len(said), 50.0, 0.1, 4 + len(said)))


def inspect(job: Inspect) -> None:
    names = {text: token for token, text in WORDS.items()}
    words = [f"{m['role']}:{m['content']}" for m in job.messages]
    begin = {"token": 90, "text": "<|im_start|>", "special": True}
    prompt = (begin, *({"token": 91 + at, "text": word, "special": False} for at, word in enumerate(words)))
    reply = [t for t in job.tokens if t in WORDS] or [names.get(job.reply, 4)]
    then = told(END) | {"text": WORDS[END]}
    send(Inspected(job.request, prompt, tuple(map(told, reply)), then, (END,), 0, 0))


def attend(job: Attend) -> None:
    """Head h of layer l puts everything on place l + h, as far as there is one."""
    places = job.position + 1
    rows = [
        bytes(255 if at == min(layer + head, places - 1) else 0 for at in range(places))
        for layer in (0, 1, 2)
        for head in (0, 1)
    ]
    send(Attention(job.request, job.position, 3, 2, 1, base64.b64encode(b"".join(rows)).decode()))


def main() -> None:
    jobs: queue.SimpleQueue = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            message = decode(line)
            if isinstance(message, Cancel):
                cancelled.add(message.request)
            elif isinstance(message, Shutdown):
                break
            else:
                jobs.put(message)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    handlers = {Generate: generate, Inspect: inspect, Attend: attend}
    while True:
        job = jobs.get()
        if isinstance(job, Load):
            send(Loaded(job.model, "fake", 1000, 64, "cpu", "CPU, a fake", 0.1))
        else:
            handlers[type(job)](job)


if __name__ == "__main__":
    main()
