"""A worker without a model: speaks the protocol, says what FAKE_WORKER tells it to. For the app's tests."""

from __future__ import annotations

import os
import sys
import threading
import time

from engine.protocol import Cancel, Delta, Done, Failed, Generate, Load, Loaded, Shutdown, Started, decode, encode
from engine.questions import Classify, Count, Counts, Score, Scores, Verdicts

MODE = os.environ.get("FAKE_WORKER", "")  # "", slow, die, die-once:PATH, no-model, slow-load, slow-no-model, drop
cancelled: set[str] = set()


def send(message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


def answer(request: Generate) -> None:
    words = request.messages[-1]["content"]
    if words == "TOO LONG":
        send(Failed(request.request, "prompt_too_long", "This message is too long for the model: shorten it."))
        return
    send(Started(request.request, 10, 0, 2 if MODE == "drop" else 0, 1024, 7))
    text = {
        "ESCAPE": "a\x1b]0;evil\x07b",
        "CODE": "Here:\n\n```python\nprint(1)\n```\n\nand\n\n```\nls\n```\n",
        "ROLES": " ".join(m["role"] for m in request.messages),
    }.get(words, f"You said: **{words[:40]}**")
    if request.continue_last:
        text = f"continued:{words[-5:]}"
    pieces = [text[i : i + 5] for i in range(0, len(text), 5)]
    if MODE == "slow":
        pieces += [" more"] * 1000
    for index, piece in enumerate(pieces):
        if request.request in cancelled:
            send(Done(request.request, "cancelled", index, 50.0, 0.1, 10 + index))
            return
        send(Delta(request.request, piece))
        if MODE == "die" or (MODE.startswith("die-once:") and not os.path.exists(MODE[9:])):
            if MODE != "die":
                open(MODE[9:], "w").close()
            os._exit(9)
        time.sleep(0.02 if MODE == "slow" else 0)
    send(Done(request.request, "stop", len(pieces), 50.0, 0.1, 10 + len(pieces)))


def judge(request: Classify) -> None:
    """Spam is what says so, and that word is the evidence; "perhaps" is unsure; "BROKEN" cannot be judged."""
    rows = []
    for text in request.texts:
        if "BROKEN" in text:
            send(Failed(request.request, "model_folder", "The scorer cannot be read: the file is cut short."))
            return
        time.sleep(5 if "SLOWLY" in text else 0)
        at = text.find("spam")
        probability = 0.97 if at >= 0 else 0.6 if "perhaps" in text else 0.02
        threshold = 0.99 if request.false_alarms < 0.001 else 0.9
        answer = "spam" if probability >= threshold else "unsure" if probability >= 0.5 else "not spam"
        evidence = [[at, at + 4, 2.5]] if at >= 0 and request.evidence else []
        rows.append({"answer": answer, "probability": probability, "threshold": threshold, "evidence": evidence})
    kind = "classical" if request.scorer.endswith("classical") else "neural"
    send(Verdicts(request.request, tuple(rows), f"fake-{kind}", kind))


def score(request: Score) -> None:
    """A label is likely where the text has it as a word."""
    text = request.messages[-1]["content"].rpartition("Text: ")[2]
    scores = tuple([-1.0 if label.strip() in text.split() else -5.0] for label in request.continuations)
    send(Scores(request.request, scores))


def main() -> None:
    jobs: list[Generate] = []
    ready = threading.Condition()

    def read() -> None:
        for line in sys.stdin.buffer:
            message = decode(line)
            if isinstance(message, Cancel):
                cancelled.add(message.request)
            elif isinstance(message, Shutdown):
                break
            else:
                with ready:
                    jobs.append(message)
                    ready.notify()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        with ready:
            while not jobs:
                ready.wait()
            job = jobs.pop(0)
        if isinstance(job, Load):
            if MODE.startswith("slow-"):
                time.sleep(2.5)  # the window must be there before, also on a busy machine
            if MODE.endswith("no-model"):
                send(Failed("load", "model_folder", "The weights cannot be read: the file is cut short."))
            else:
                send(Loaded(job.model, "fake", 1000, 1024, "cpu", "CPU, a fake", 0.1))
        elif isinstance(job, Classify):
            judge(job)
        elif isinstance(job, Count):
            send(Counts(job.request, tuple(len(text) // 4 + 1 for text in job.texts)))
        elif isinstance(job, Score):
            score(job)
        else:
            answer(job)


if __name__ == "__main__":
    main()
