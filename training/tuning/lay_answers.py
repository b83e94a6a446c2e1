"""Teaching answers: examples → conversations, each question in several wordings, and dialogues that are known."""

from __future__ import annotations

import hashlib
from pathlib import Path

from training.data.vocabulary import Vocabulary
from training.recipe_wish import Wish
from training.tuning.answers import Example, read_answers
from training.tuning.layout import HELD_OUT, Laid, Row, replayed, shown, too_few, write_documents
from training.tuning.recipes import Amounts, epochs_of
from training.tuning.rephrase import rephrased

WORDINGS = 12  # a question is learned in, its own included
REPLAY_MOST = 400  # dialogues that are seen again in a run, at most
REPLAY_SEEN = 2.0  # times each; once, forty facts cost two points of the general questions


def lay_out(wish: Wish, run: Path, vocabulary: Vocabulary | None) -> Laid:
    """Conversations for the stage `sft`. See `layout.lay_out`."""
    assert vocabulary is not None
    found = read_answers([Path(name) for name in wish.files])
    laid = Laid(Amounts(0, 0), notes=list(found.notes))
    train: list[tuple[dict[str, object], Example]] = []
    learned, longest = 0, 0
    for example in found.rows:
        row = _row(example, wish, vocabulary)
        laid.rows.append(row)
        if row.problem:
            continue
        longest = max(longest, row.tokens)
        chat: dict[str, object] = {"messages": list(example.messages)}
        if _apart(example, wish):
            row.note = HELD_OUT
            laid.held_out.append(chat)
            continue
        learned += 1
        laid.prompts.append(example.question)
        if len(example.messages) == 2:
            laid.pairs.append([example.question, example.answer])
        train.append((chat, example))
    too_few(wish, laid, "answers")
    documents = _worded(train, wish)
    seen = epochs_of(wish) * learned / len(documents)
    laid.sources.append({"name": "answers", "path": "answers.jsonl", "licence": "private", "sft_epochs": seen})
    write_documents(run, "train", "answers", documents)
    write_documents(run, "valid", "answers", laid.held_out)
    again, apart = replayed(wish, vocabulary, REPLAY_MOST if wish.replay else 0)
    write_documents(run, "train", "replay", again)
    write_documents(run, "valid", "replay", apart)
    laid.sources.append(
        {"name": "replay", "path": "replay.jsonl", "licence": "Apache-2.0", "sft_epochs": REPLAY_SEEN if again else 0.0}
    )
    if len(documents) > learned:
        laid.notes.append(f"With other wordings of the questions it learns {len(documents):,} examples.")
    if again:
        laid.notes.append(f"Mixed in are {len(again)} dialogues that it knows, so that it forgets less.")
    laid.amounts = Amounts(learned, len(documents), len(again), longest)
    return laid


def _row(example: Example, wish: Wish, vocabulary: Vocabulary) -> Row:
    row = Row(example.place, problem=example.problem)
    if not example.messages:
        return row
    ids, mask = vocabulary.template.encode_with_mask(list(example.messages))
    row.parts, row.tokens = shown(vocabulary, ids, mask), len(ids)
    if not row.problem and row.tokens > wish.context:
        row.problem = f"longer than {wish.context} tokens"
    return row


def _worded(train: list[tuple[dict[str, object], Example]], wish: Wish) -> list[dict[str, object]]:
    """Every chat, and its answer to other wordings of its question, but for wordings that two questions share."""
    documents = [chat for chat, _ in train]
    if not wish.rephrase:
        return documents
    others: dict[str, Example | None] = {}
    for _, example in train:
        if len(example.messages) == 2:
            for other in rephrased(example.question, WORDINGS - 1):
                others[other] = None if other in others else example
    asked = {example.question for _, example in train}
    return documents + [
        {"messages": [{"role": "user", "content": other}, example.messages[1]]}
        for other, example in others.items()
        if example is not None and other not in asked
    ]


def _apart(example: Example, wish: Wish) -> bool:
    """Whether it is held out: by its content, so that it is the same in every run."""
    number = int.from_bytes(hashlib.blake2b(example.question.casefold().encode(), digest_size=4).digest(), "big")
    return number % 10_000 < wish.held_out * 100
